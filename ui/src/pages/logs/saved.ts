// Searches that somebody keeps in this browser: a name and the address of each. Nobody else sees them. Not the list's looks.

export interface Saved {
  name: string;
  address: string;
}
const KEY = "watchfire.logs.searches";
export const SAVED_MAX = 50;
export const NAME_CHARS_MAX = 80;

/** What is there, in the order of names; what is not a search of this page is left out. */
export function parseSaved(text: string | null): Saved[] {
  try {
    const body: unknown = JSON.parse(text ?? "[]");
    const list: unknown[] = Array.isArray(body) ? body : [];
    return list.filter(isSaved).slice(0, SAVED_MAX);
  } catch {
    return [];
  }
}

function isSaved(it: unknown): it is Saved {
  if (typeof it !== "object" || it === null || !("name" in it) || !("address" in it)) return false;
  const { name, address } = it;
  return typeof name === "string" && name !== "" && typeof address === "string" && /^\/logs(?:$|\?)/.test(address);
}

/** One of the same name is replaced. */
export function withSaved(list: readonly Saved[], { name, address }: Saved): Saved[] {
  const next = { name: name.trim().slice(0, NAME_CHARS_MAX), address };
  return [...list.filter((it) => it.name !== next.name), next].sort((a, b) => a.name.localeCompare(b.name)).slice(0, SAVED_MAX);
}

export function loadSaved(): Saved[] {
  try {
    return parseSaved(localStorage.getItem(KEY));
  } catch {
    return [];
  }
}

/** Whether the browser keeps it. */
export function storeSaved(list: readonly Saved[]): boolean {
  try {
    localStorage.setItem(KEY, JSON.stringify(list));
    return true;
  } catch {
    return false;
  }
}
