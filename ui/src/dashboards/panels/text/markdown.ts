// Markdown as a tree of what it means. No part of it ever becomes mark-up of the page by itself: HTML in it is text, and only links
// that go somewhere are links. Not all of Markdown: headings, paragraphs, lists, quotes, code, tables, rules, links, stress.
import { safeUrl } from "../../view/data";

export type Inline = { kind: "text"; text: string } | { kind: "code"; text: string } | { kind: "strong"; inner: Inline[] } | { kind: "em"; inner: Inline[] } | { kind: "del"; inner: Inline[] } | { kind: "link"; url: string; inner: Inline[] } | { kind: "break" };
export type Block =
  | { kind: "heading"; level: number; inner: Inline[] }
  | { kind: "paragraph"; inner: Inline[] }
  | { kind: "code"; text: string }
  | { kind: "rule" }
  | { kind: "quote"; inner: Block[] }
  | { kind: "list"; ordered: boolean; items: Block[][] }
  | { kind: "table"; head: Inline[][]; rows: Inline[][][] };

const DEPTH_MAX = 8;
/** A longer text is no panel. */
const CHARS_MAX = 100_000;
/** A longer line or paragraph is no sentence: it stays as it is, since looking for pairs in it takes longer than its length. */
const BLOCK_MAX = 10_000;

export function markdown(source: string): Block[] {
  return blocks(source.slice(0, CHARS_MAX).replace(/\r\n?/g, "\n").split("\n"), 0);
}

function blocks(lines: string[], depth: number): Block[] {
  const found: Block[] = [];
  let at = 0;
  const take = (test: (line: string) => boolean): string[] => {
    const from = at;
    while (at < lines.length && test(lines[at] ?? "")) at += 1;
    return lines.slice(from, at);
  };
  while (at < lines.length) {
    const line = lines[at] ?? "";
    if (line.length > BLOCK_MAX) {
      found.push({ kind: "paragraph", inner: [{ kind: "text", text: line }] });
      at += 1;
      continue;
    }
    const fence = /^ {0,3}(```+|~~~+)/.exec(line)?.[1];
    const heading = /^ {0,3}(#{1,6})\s+(.*?)\s*#*$/.exec(line);
    const item = ITEM.exec(line);
    if (line.trim() === "") at += 1;
    else if (fence !== undefined) {
      at += 1;
      const code = take((it) => !it.trimStart().startsWith(fence));
      at += 1;
      found.push({ kind: "code", text: code.join("\n") });
    } else if (heading) {
      found.push({ kind: "heading", level: heading[1]?.length ?? 1, inner: inline(heading[2] ?? "", 0) });
      at += 1;
    } else if (/^ {0,3}([-*_])(\s*\1){2,}\s*$/.test(line)) {
      found.push({ kind: "rule" });
      at += 1;
    } else if (/^ {0,3}>/.test(line) && depth < DEPTH_MAX) found.push({ kind: "quote", inner: blocks(take((it) => /^ {0,3}>/.test(it)).map((it) => it.replace(/^ {0,3}> ?/, "")), depth + 1) });
    else if (item && depth < DEPTH_MAX) found.push(list(take((it) => it.trim() !== "" && (ITEM.test(it) || /^\s{2,}/.test(it))), depth));
    else if (line.includes("|") && (lines[at + 1] ?? "").length <= BLOCK_MAX && /^\s*\|?\s*:?-{2,}:?\s*(\|\s*:?-{2,}:?\s*)*\|?\s*$/.test(lines[at + 1] ?? "")) {
      const rows = take((it) => it.includes("|") && it.trim() !== "").map(cells);
      found.push({ kind: "table", head: rows[0] ?? [], rows: rows.slice(2) });
    } else found.push({ kind: "paragraph", inner: inline(take((it) => it.trim() !== "" && it.length <= BLOCK_MAX && !/^ {0,3}(#{1,6}\s|```|~~~|>)/.test(it) && !(ITEM.test(it) && it !== line)).join("\n"), 0) });
  }
  return found;
}

const ITEM = /^(\s*)([-*+]|\d{1,9}[.)])\s+(.*)$/;

function list(lines: string[], depth: number): Block {
  const first = ITEM.exec(lines[0] ?? "");
  const indent = first?.[1]?.length ?? 0;
  const items: string[][] = [];
  for (const line of lines) {
    const item = ITEM.exec(line);
    if (item && (item[1]?.length ?? 0) <= indent + 1) items.push([item[3] ?? ""]);
    else items.at(-1)?.push(line.slice(Math.min(indent + 2, line.length - line.trimStart().length)));
  }
  return { kind: "list", ordered: /\d/.test(first?.[2] ?? ""), items: items.map((it) => blocks(it, depth + 1)) };
}

function cells(line: string): Inline[][] {
  return line.trim().replace(/^\||\|$/g, "").split("|").map((it) => inline(it.trim(), 0));
}

const INLINE = /(`+)([\s\S]+?)\1|!?\[((?:[^[\]]|\[[^[\]]*\])*)\]\(\s*<?((?:[^()\s<>]|\([^()\s]*\))+)>?(?:\s+"[^"]*")?\s*\)|<(https?:\/\/[^>\s]+)>|(https?:\/\/[^\s<>()]+[^\s<>().,;:!?])|(\*\*|__)(?=\S)([\s\S]+?\S)\7|(\*|_)(?=\S)([\s\S]*?\S)\9(?!\w)|~~([\s\S]+?)~~|( {2,}|\\)\n/;

export function inline(source: string, depth: number): Inline[] {
  if (source.length > BLOCK_MAX) return [{ kind: "text", text: source }];
  const found: Inline[] = [];
  let rest = source;
  const plain = (text: string): void => {
    if (text !== "") found.push({ kind: "text", text: text.replace(/<br\s*\/?>/gi, "\n").replace(/\\([\\`*_{}[\]()#+.!|~<>-])/g, "$1") });
  };
  while (rest !== "") {
    const match = depth < DEPTH_MAX ? INLINE.exec(rest) : null;
    if (!match) {
      plain(rest);
      break;
    }
    plain(rest.slice(0, match.index));
    rest = rest.slice(match.index + match[0].length);
    const [, , code, words, target, angle, bare, , strong, , em, del, lineBreak] = match;
    const url = target ?? angle ?? bare;
    if (code !== undefined) found.push({ kind: "code", text: code });
    else if (url !== undefined) {
      const safe = safeUrl(url);
      const inner: Inline[] = words === undefined || words === "" ? [{ kind: "text", text: url }] : inline(words, depth + 1);
      // A picture from elsewhere would tell its server who looks: its words and its address stand for it.
      if (safe === undefined) found.push(...inner);
      else found.push({ kind: "link", url: safe, inner });
    } else if (strong !== undefined) found.push({ kind: "strong", inner: inline(strong, depth + 1) });
    else if (em !== undefined) found.push({ kind: "em", inner: inline(em, depth + 1) });
    else if (del !== undefined) found.push({ kind: "del", inner: inline(del, depth + 1) });
    else if (lineBreak !== undefined) found.push({ kind: "break" });
  }
  return found;
}

/** The text of HTML: tags, scripts and styles are left out, a few letters come back. Nothing here looks past the next tag for an end,
    so that tags which never end cost no more than others. */
export function textOfHtml(source: string): string {
  return withoutCode(source.slice(0, CHARS_MAX))
    .replace(/<\/?(?:span|i|em|u|small|font|img)\b[^<>]*>/gi, "")
    .replace(/<\/?(?:b|strong)\s*>/gi, "**")
    .replace(/<a\b([^<>]*)>([^<]*)<\/a\s*>/gi, (_, attributes: string, words: string) => {
      const url = /\bhref\s*=\s*["']([^"']+)["']/i.exec(attributes)?.[1];
      return url === undefined ? words : `[${words.trim()}](${url})`;
    })
    .replace(/<h([1-6])\b[^<>]*>\s*/gi, (_, level: string) => `\n\n${"#".repeat(Number(level))} `)
    .replace(/<\/h[1-6]\s*>/gi, "\n\n")
    .replace(/<li\b[^<>]*>/gi, "\n- ")
    .replace(/<(?:br|\/p|\/div|\/tr)\b[^<>]*>/gi, "\n")
    .replace(/<[^<>]*>/g, "")
    .replace(/&(nbsp|lt|gt|quot|#39|amp);/g, (_, name: string) => ({ nbsp: " ", lt: "<", gt: ">", quot: '"', "#39": "'", amp: "&" })[name] ?? "");
}

/** Without what stands in scripts and styles; one that never ends is left out to the end, as browsers do. */
function withoutCode(source: string): string {
  let kept = "";
  let inside: string | undefined;
  let from = 0;
  for (const tag of source.matchAll(/<(\/?)(script|style)\b/gi)) {
    const name = (tag[2] ?? "").toLowerCase();
    const closes = tag[1] === "/";
    if (inside === undefined && !closes) {
      kept += source.slice(from, tag.index);
      inside = name;
    } else if (inside === name && closes) {
      // What is left of the tag itself is taken out with the other tags.
      from = tag.index;
      inside = undefined;
    }
  }
  return inside === undefined ? kept + source.slice(from) : kept;
}
