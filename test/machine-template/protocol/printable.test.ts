import { expect, test } from "vitest";
import { printable, printableJson, printableLines } from "#protocol/printable.ts";

test("ordinary text of every script is shown as it is", () => {
  for (const text of ["plain ASCII {}[]~", "Grüße, Ελλάδα, 日本語, עברית, हिन्दी", "emoji 🙂", "e\u0301"])
    expect(printable(text)).toBe(text);
});

test("what moves a terminal's cursor, hides or turns text is written out", () => {
  expect(printable("\u001B[2Ja\u202Eb\u200Bc\u009Bd")).toBe(String.raw`\u{1b}[2Ja\u{202e}b\u{200b}c\u{9b}d`);
  expect(printable("\u{E0041}\uD800\u3164\u00A0\u2800")).toBe(String.raw`\u{e0041}\u{d800}\u{3164}\u{a0}\u{2800}`);
});

test("a value stays on one line; of several lines only the breaks of ours stay", () => {
  expect(printable("a\nb\rc\td\u2028e")).toBe(String.raw`a\nb\rc\td\u{2028}e`);
  expect(printableLines("a\nb\rc")).toBe(`a\n${String.raw`b\rc`}`);
});

test("JSON stays the same JSON, whatever is in it", () => {
  const value = { "na\u202Eme": ["\u001B", "\u{E0041}", "line\nbreak", 1, null], deep: { "\u009B": "\u2028" } };
  for (const text of [printableJson(value), printableJson(value, 2)]) {
    expect(JSON.parse(text)).toEqual(value);
    expect(text).not.toMatch(/[^\P{C}\n]|\u2028/u);
  }
  expect(printableJson(undefined)).toBe("null");
});
