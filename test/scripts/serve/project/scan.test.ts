import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { scanRepos } from "../../../../scripts/serve/project/scan.ts";

function folderWith(...paths: readonly string[]): string {
  const root = mkdtempSync(join(tmpdir(), "codez-scan-"));
  onTestFinished(() => rmSync(root, { recursive: true }));
  for (const path of paths) mkdirSync(join(root, path), { recursive: true });
  return root;
}

test("repositories are found at every level down to the fourth, and none inside another or in a hidden folder", async () => {
  const root = folderWith(
    "a/.git",
    "a/inner/.git",
    "b/c/.git",
    "b/d/e/f/.git",
    "b/d/e/g/h/.git",
    "node_modules/n/.git",
    ".cache/h/.git",
  );
  const found = await scanRepos([root]);
  expect(found.sort()).toEqual(["a", "b/c", "b/d/e/f"].map((path) => join(root, path)));
});

test("a folder with any number of folders is read up to the limit", async () => {
  const root = folderWith(...Array.from({ length: 30 }, (_, index) => `repo-${index}/.git`));
  // The root itself is one of them.
  expect(await scanRepos([root], 10)).toHaveLength(9);
});
