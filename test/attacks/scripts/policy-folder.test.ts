// Root cause: a folder in serve.json could be a relative path, and meant another folder wherever serve was started. A service is started
// in "/", where "." opened every folder of the computer, or trusted every repository.
import * as fc from "fast-check";
import { isAbsolute } from "node:path";
import { describe, expect, test } from "vitest";
import { ServeConfig } from "../../../scripts/serve/config.ts";

const LISTS = ["projects", "drive", "trust", "respondPermission"] as const;

const isAccepted = (list: (typeof LISTS)[number], path: string) => ServeConfig.safeParse({ [list]: [path] }).success;

describe.each(LISTS)("in %s", (list) => {
  test.each([
    ".",
    "..",
    "./",
    "src",
    "../src",
    "~root",
    "~ann/src",
    "$HOME/src",
    "%USERPROFILE%",
    " /home",
    "\u200b/home",
    "//\0",
    "/a\0b",
    "~/\0",
  ])("%j is refused", (path) => {
    expect(isAccepted(list, path)).toBe(false);
  });

  test.each(["/", "/home/ann/src", "~", "~/src", "/a b", "/ü", "/..", "~/../x"])("%j is accepted", (path) => {
    expect(isAccepted(list, path)).toBe(true);
  });
});

test("an accepted value means the same folder wherever serve is started", () => {
  fc.assert(
    fc.property(
      fc.constantFrom(...LISTS),
      fc.oneof(fc.string(), fc.webPath(), fc.string({ unit: fc.constantFrom("~", "/", ".", "\0", "a", "\\") })),
      (list, path) => {
        const parsed = ServeConfig.safeParse({ [list]: [path] });
        if (!parsed.success) return;
        const [folder] = parsed.data[list] as string[];
        expect([isAbsolute(path) || /^~(?:$|\/)/.test(path), isAbsolute(folder ?? ""), path.includes("\0")]).toEqual([
          true,
          true,
          false,
        ]);
      },
    ),
    { numRuns: 500 },
  );
});
