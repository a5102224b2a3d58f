// The names under which Watchfire reports itself. Not the queries: OwnPanel.svelte.
export const OWN_JOB = "watchfire";
export const SAMPLES_TOTAL = "watchfire_storage_samples_appended_total";
