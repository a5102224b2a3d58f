// Texts that are made to keep a reader busy, and HTML in odd forms. Not ordinary Markdown (model.test.ts).
import { expect, test } from "vitest";
import { markdown, textOfHtml } from "./markdown";

const LENGTH = 100_000;
const filled = (text: string): string => text.repeat(LENGTH / text.length);

// A way through these that is not linear runs into the time limit of tests.
test.each([["[[[["], ["[a](x "], ["**a "], ["`a"], ["[]"]])("one paragraph of %s stays plain text", (text) => {
  expect(markdown(filled(text))).toEqual([{ kind: "paragraph", inner: [{ kind: "text", text: filled(text) }] }]);
});

test.each(['<a href="x"', "<script ", "<h1>", "<", "<li ", "<a>"])("100 kB of %s are read as HTML", (text) => {
  const read = textOfHtml(filled(text));
  expect(read.length).toBeLessThanOrEqual(LENGTH * 2);
  expect(read).not.toContain("<script>");
  expect(markdown(read).length).toBeLessThanOrEqual(LENGTH);
});

test("a long line leaves those beside it what they are", () => {
  expect(markdown(`# Title\n${"a".repeat(20_000)}\n- item`).map((it) => it.kind)).toEqual(["heading", "paragraph", "list"]);
  expect(markdown(`x\n# ${" ".repeat(99_000)}x`)).toHaveLength(2);
});

test("links keep their words with what stands in them, wherever their address stands", () => {
  expect(textOfHtml('<a class="b" href = \'/d/x\' target=_blank><b>To</b> <span class="c">it</span></a> <a name="here">mark</a>')).toBe("[**To** it](/d/x) mark");
  expect(textOfHtml("<h2 class=x>\n One <i>two</i></h2>rest<script>if (a<b) x()</script> end<style>never")).toBe("\n\n## One two\n\nrest end");
});
