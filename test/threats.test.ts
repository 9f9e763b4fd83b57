import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";

const FOLDER = fileURLToPath(new URL("../control-api/src/sign-in", import.meta.url));
const PAGE = readFileSync(join(FOLDER, "threats.md"), "utf8");

test("the threat model names only tests that exist", () => {
  const links = [...PAGE.matchAll(/\]\(([^)]+\.test\.ts)\)/g)].map(([, path = ""]) => join(FOLDER, path));
  expect(links.length).toBeGreaterThan(20);
  expect(links.filter((path) => !existsSync(path))).toEqual([]);
});
