// The filter by words of several pages. Not a query language.

/** Whether every word stands in a text; case does not count. */
export function hasWords(text: string, words: string): boolean {
  const lower = text.toLowerCase();
  return words
    .toLowerCase()
    .split(/\s+/)
    .every((word) => lower.includes(word));
}
