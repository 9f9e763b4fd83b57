import { mkdirSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { writePrivately } from "../../../scripts/system/atomic-file.ts";
import { temporaryFolder } from "../connector/support/temporary-folder.ts";

test("a file that cannot be written leaves no draft, which would have a secret or a part of it", () => {
  using folder = temporaryFolder();
  const path = join(folder.path, "attic.json");
  mkdirSync(path); // so that the last step fails, like each of them does on a full disk
  expect(() => writePrivately(path, "opr_secret")).toThrow("EISDIR");
  expect(readdirSync(folder.path)).toEqual(["attic.json"]);
});
