import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { codeTokens } from "../../../../control-api/src/pages/conversation/code-token.ts";

function marked(text: string, language = "ts"): string {
  return codeTokens(text, language)
    .map(({ kind, text: piece }) => (kind === null ? piece : `${kind}[${piece}]`))
    .join("");
}

describe("code in a conversation", () => {
  test.each([
    ["const a = 'b'; // c", "k[const] a = s['b']; c[// c]"],
    ["x = 12 # why", "x = n[12] c[# why]"],
    ["/* a\n b */ return", "c[/* a\n b */] k[return]"],
    ['say("a \\" b", `${c}\n`)', 'say(s["a \\" b"], s[`${c}\n`])'],
    ["SELECT a -- why\nFROM b", "k[SELECT] a c[-- why]\nk[FROM] b"],
    ["it's #[derive] --flag", "it's #[derive] --flag"],
  ])("has its keywords, strings, numbers and comments marked: %s", (text, expected) => {
    expect(marked(text)).toBe(expected);
  });

  test("is left as it is if it is prose or long", () => {
    expect(codeTokens("return it", "text")).toHaveLength(1);
    expect(codeTokens("return ".repeat(5_000), "ts")).toHaveLength(1);
  });

  test("is the same text as before, whatever it is", () => {
    const piece = fc.oneof(
      fc.string({ unit: "binary" }),
      fc.constantFrom("/*", "*/", "//", "'", '"', "`", "\\", "\n", "#", "-- ", "${", "if", "0x1f"),
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 60 }), (pieces) => {
        const tokens = codeTokens(pieces.join(""), "ts");
        expect(tokens.map(({ text }) => text).join("")).toBe(pieces.join(""));
      }),
      { numRuns: 500 },
    );
  });

  // With a pattern that backtracks exponentially this would run into the test's timeout.
  test.each(["/*", "'\\", "`\\", "1", "/**", " #", "//", "a.", '"', "*/"])("ends if %s is repeated", (piece) => {
    const text = piece.repeat(Math.floor(12_000 / piece.length));
    expect(
      codeTokens(text, "ts")
        .map((token) => token.text)
        .join(""),
    ).toBe(text);
  });
});
