import { expect, test } from "vitest";
import { printable, printableJson } from "#protocol/printable.ts";

test("ordinary text in every script is shown unchanged", () => {
  for (const text of ["plain ASCII {}[]~", "Grüße, Ελλάδα, 日本語, עברית, हिन्दी", "emoji 🙂", "e\u0301"])
    expect(printable(text)).toBe(text);
});

test("characters that move a terminal's cursor, or hide or reverse text, are escaped", () => {
  expect(printable("\u001B[2Ja\u202Eb\u200Bc\u009Bd")).toBe(String.raw`\u{1b}[2Ja\u{202e}b\u{200b}c\u{9b}d`);
  expect(printable("\u{E0041}\uD800\u3164\u00A0\u2800")).toBe(String.raw`\u{e0041}\u{d800}\u{3164}\u{a0}\u{2800}`);
});

test("marks that would pile up over other lines are escaped, and those of real scripts are not", () => {
  const piled = "\u0301".repeat(4);
  expect(printable(`a${piled}${piled}b`)).toBe(`a${piled}${String.raw`\u{301}`.repeat(4)}b`);
  expect(JSON.parse(printableJson(`a${piled}${piled}b`))).toBe(`a${piled}${piled}b`);
  for (const text of ["Việt Nam".normalize("NFD"), "בְּרֵאשִׁ֖ית", "ที่นี่", "བསྒྲུབས"]) expect(printable(text)).toBe(text);
});

test("a value stays on one line", () => {
  expect(printable("a\nb\rc\td\u2028e")).toBe(String.raw`a\nb\rc\td\u{2028}e`);
});

test("JSON keeps its meaning, whatever it contains", () => {
  const value = { "na\u202Eme": ["\u001B", "\u{E0041}", "line\nbreak", 1, null], deep: { "\u009B": "\u2028" } };
  for (const text of [printableJson(value), printableJson(value, 2)]) {
    expect(JSON.parse(text)).toEqual(value);
    expect(text).not.toMatch(/[^\P{C}\n]|\u2028/u);
  }
  expect(printableJson(undefined)).toBe("null");
});
