// The series by which Watchfire tells its own size. Not the queries' answers: GrowthPanel.svelte.
export const GROWTH = 'max by (kind) (watchfire_storage_bytes)';
