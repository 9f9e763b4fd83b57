import { expect, test } from "vitest";
import { Prose } from "../../../../control-api/src/pages/conversation/prose.tsx";

function html(text: string): string {
  return String(Prose({ text, limit: text.length }));
}

test.each([
  ["a heading", `# ${" ".repeat(300_000)}\r`, "<h2>"],
  ["an item", `- ${" ".repeat(300_000)}\r`, "<li"],
  ["no code", `${"~".repeat(300_000)}\``, "<p"],
])("a long line that ends oddly is read once, as %s", (_what, line, element) => {
  expect(html(line)).toContain(element);
});

test("fences, headings and items are what they look like", () => {
  const shown = html("## Title\n\n- one\n- two\n\n1. first\n\n~~~~ text\ncode\n~~~~\n\nand `this`");
  for (const part of ["<h2>", "<ul>", "<ol>", "<pre", "<code>"]) expect(shown).toContain(part);
});
