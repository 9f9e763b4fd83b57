import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { DiffLine } from "../../../../control-api/src/pages/conversation/diff.ts";
import { diffCode, languageOf } from "../../../../control-api/src/pages/conversation/diff-code.ts";

function marked(lines: readonly DiffLine[], language = "ts"): string[] {
  return diffCode(lines, language).map((line) =>
    line.map(({ kind, text }) => (kind === null ? text : `${kind}[${text}]`)).join(""),
  );
}

describe("the code in a diff", () => {
  test("is coloured line by line, and a comment over several lines in each of them", () => {
    const lines = [
      { kind: "same", text: "/* one" },
      { kind: "del", text: "two */ return 1;" },
      { kind: "ins", text: "2 */ return 'b';" },
      { kind: "same", text: "" },
      { kind: "same", text: "if (x) {" },
    ] as const;
    expect(marked(lines)).toEqual([
      "c[/* one]",
      "c[two */] k[return] n[1];",
      "c[2 */] k[return] s['b'];",
      "",
      "k[if] (x) {",
    ]);
  });

  test("in a removed line says nothing about the lines that replace it", () => {
    const lines = [
      { kind: "del", text: "const a = `never ends" },
      { kind: "ins", text: "const a = 1;" },
    ] as const;
    expect(marked(lines)).toEqual(["k[const] a = s[`never ends]", "k[const] a = n[1];"]);
  });

  test("is left as it is in a file that is prose", () => {
    const lines = [{ kind: "ins", text: "return it's 1" }] as const;
    for (const path of ["README.md", "a/notes.txt", "LICENSE", "page.html"])
      expect(marked(lines, languageOf(path)), path).toEqual(["return it's 1"]);
    for (const path of ["src/a.ts", "Dockerfile", ".bashrc", "a.b.rs"])
      expect(marked([{ kind: "ins", text: "return 1" }], languageOf(path)), path).toEqual(["k[return] n[1]"]);
  });

  test("is the same text as before, line by line, whatever it is", () => {
    const text = fc.array(fc.constantFrom("/*", "*/", "`", "'", "\\", "//", "a", "1", " ", "\u2028", "\r"), {
      maxLength: 9,
    });
    const line = fc.record({
      kind: fc.constantFrom("same", "del", "ins"),
      text: text.map((pieces) => pieces.join("")),
    });
    fc.assert(
      fc.property(fc.array(line as fc.Arbitrary<DiffLine>, { maxLength: 30 }), (lines) => {
        const texts = diffCode(lines, "ts").map((tokens) => tokens.map((token) => token.text).join(""));
        expect(texts).toEqual(lines.map(({ text: whole }) => whole));
      }),
      { numRuns: 500 },
    );
  });
});
