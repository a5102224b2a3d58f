// A catalogue as it is sent: the words alone, each on a line whose number follows from the English text, so that no text has to be sent
// with them. It holds for texts that are in the catalogue, and says something for others as well: only those may be asked for. Not a hash
// for anything that an attacker may choose.
const DIGITS = "()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[]^_abcdefghijklmnopqrstuvwxyz{|}~";

function hash(text: string, seed: number): number {
  let sum = seed;
  for (let at = 0; at < text.length; at += 1) {
    sum = Math.imul(sum ^ text.charCodeAt(at), 0x9e3779b1);
    sum ^= sum >>> 15;
  }
  return sum >>> 0;
}

/** Some texts share a seed, with which each of them has a line of its own. */
const seedAt = (seeds: string, text: string): number => hash(text, 0) % (seeds.length / 2);
const lineOf = (text: string, seed: number, lines: number): number => hash(text, seed + 1) % lines;

/** Says a text of the catalogue; one that is the same in English has nothing on its line. */
export function reader(packed: string): (text: string) => string {
  const [seeds = "", ...lines] = packed.split("\n");
  return (text) => {
    const at = 2 * seedAt(seeds, text);
    const seed = DIGITS.indexOf(seeds.charAt(at)) * DIGITS.length + DIGITS.indexOf(seeds.charAt(at + 1));
    return lines[lineOf(text, seed, lines.length)] || text;
  };
}

/** Texts of one seed, on average: more of them take longer to find a seed for, fewer need more seeds. */
const SHARING = 3;
const SEEDS_MAX = DIGITS.length ** 2;

/** The first line has the seeds, two digits each. */
export function pack(catalogue: Readonly<Record<string, string>>): string {
  const texts = Object.keys(catalogue);
  const seeds = "((".repeat(Math.ceil(texts.length / SHARING));
  const sharing = Array.from({ length: seeds.length / 2 }, (): string[] => []);
  for (const it of texts) sharing[seedAt(seeds, it)]?.push(it);
  const lines: (string | undefined)[] = Array.from({ length: texts.length }, () => undefined);
  const found = new Map<number, number>();
  // The largest first, while there is room.
  for (const [at, group] of [...sharing.entries()].sort(([, a], [, b]) => b.length - a.length)) {
    const fits = (seed: number): boolean => new Set(group.map((it) => lineOf(it, seed, lines.length))).size === group.length && group.every((it) => lines[lineOf(it, seed, lines.length)] === undefined);
    let seed = 0;
    while (seed < SEEDS_MAX && !fits(seed)) seed += 1;
    if (seed === SEEDS_MAX) throw new Error("cannot give every text of the catalogue a line: more seeds are needed");
    found.set(at, seed);
    for (const it of group) lines[lineOf(it, seed, lines.length)] = catalogue[it] === it ? "" : (catalogue[it] ?? "");
  }
  const digits = sharing.map((_, at) => DIGITS.charAt(Math.floor((found.get(at) ?? 0) / DIGITS.length)) + DIGITS.charAt((found.get(at) ?? 0) % DIGITS.length));
  return [digits.join(""), ...lines].join("\n");
}
