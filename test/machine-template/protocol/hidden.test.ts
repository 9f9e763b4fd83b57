import { describe, expect, it } from "vitest";
import { HIDDEN, HIDDEN_IN_TERMINALS, HIDDEN_ON_PAGES } from "../../../machine-template/protocol/hidden.ts";

const RULES = { HIDDEN, HIDDEN_ON_PAGES, HIDDEN_IN_TERMINALS };

describe.each(Object.entries(RULES))("%s", (_, rule) => {
  it.each([
    ["an escape sequence", "a\u001b[2Jb", ["\u001b"]],
    ["a reversal of what follows", "a\u202eb", ["\u202e"]],
    ["a space of no width", "a\u200bb", ["\u200b"]],
    ["a separator of lines", "a\u2028b", ["\u2028"]],
    ["an empty Braille pattern", "a\u2800b", ["\u2800"]],
    ["a half of a character", "a\ud800b", ["\ud800"]],
    ["marks that pile up", `a${"\u0301".repeat(7)}b`, ["\u0301", "\u0301", "\u0301"]],
    ["marks of a language", `a${"\u0301".repeat(4)}b`, []],
    ["letters, signs and spaces", "Zoë 𝒳 日本語 🎉", []],
  ])("finds %s", (_what, text, found) => {
    expect(text.match(rule) ?? []).toEqual(found);
  });
});

it("leaves pages what they need, and terminals nothing but the space", () => {
  const text = "a\n\tb\u200c\u200d\ufe0e\ufe0f\u00a0";
  expect(text.match(HIDDEN_ON_PAGES)).toBeNull();
  expect(text.match(HIDDEN_IN_TERMINALS)?.join("")).toBe("\n\t\u200c\u200d\ufe0e\ufe0f\u00a0");
});
