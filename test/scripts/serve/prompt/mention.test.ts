import * as fc from "fast-check";
import { mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { mentionsIn, outsideMention } from "../../../../scripts/serve/prompt/mention.ts";

let root: string;
let project: string;

beforeAll(() => {
  root = realpathSync(mkdtempSync(join(tmpdir(), "mention-")));
  project = join(root, "project");
  mkdirSync(join(project, "sub"), { recursive: true });
  mkdirSync(join(root, "project-2"));
  writeFileSync(join(root, "secret file"), "");
  writeFileSync(join(root, "project-2", "file"), "");
  writeFileSync(join(project, "sub", "file"), "");
  symlinkSync(root, join(project, "out"));
});
afterAll(() => rmSync(root, { recursive: true }));

async function outside(text: string): Promise<string | null> {
  return outsideMention(mentionsIn(text) ?? ["too many"], project);
}

test.each([
  'see @"../secret file"',
  "see @../project-2/file",
  "see @../project-2/file:",
  "see @../project-2/file#L3",
  "see @out/project-2",
  "see @sub/../../project-2",
  "a@b @sub/file x@../project-2",
  "see @~",
  'see @"~/."',
])("%s leaves the project", async (text) => {
  expect(await outside(text)).not.toBeNull();
});

test("an absolute path leaves the project, unless it is in it", async () => {
  expect(await outside(`see @${root}/project-2/file`)).not.toBeNull();
  expect(await outside(`see @${project}/sub/file`)).toBeNull();
});

test.each(["see @sub/file", "@sub @sub/../sub/file.", "x@example.com", "@missing @../missing", "@", '@"', "@\0/etc"])(
  "%j does not leave the project",
  async (text) => {
    expect(await outside(text)).toBeNull();
  },
);

test("a mention of a file outside is found, whatever surrounds it", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.string(),
      fc.constantFrom("", " x", "\n", "#L1", ".", "),", "\t@sub"),
      async (before, after) => {
        expect(await outside(`${before.replaceAll("@", "")} @../project-2/file${after}`)).not.toBeNull();
      },
    ),
  );
});

test("thousands of mentions do not cause a look-up each", () => {
  expect(mentionsIn("@a ".repeat(10_000))).toBeNull();
});

// With one step for each pair of marks, each prompt would keep serve busy for ten seconds.
test("mentions of thousands of marks are read in linear time", () => {
  const path = `${"\u{1F600}".repeat(2_000)}x`;
  for (let prompt = 0; prompt < 15; prompt += 1) expect(mentionsIn(`@${path} `.repeat(200))).toEqual([path]);
});
