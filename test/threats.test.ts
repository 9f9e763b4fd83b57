import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";

const FOLDER = fileURLToPath(new URL("../control-api/src/sign-in", import.meta.url));
const PAGE = readFileSync(join(FOLDER, "threats.md"), "utf8");

const links = [...PAGE.matchAll(/\]\(([^)]+\.test\.ts)\)/g)].map(([, path = ""]) => join(FOLDER, path));

test("the threat model names every attack that is a test", () => {
  const attacks = fileURLToPath(new URL("attacks", import.meta.url));
  const files = readdirSync(attacks, { recursive: true, encoding: "utf8" }).filter((path) => path.endsWith(".test.ts"));
  expect(files.map((path) => join(attacks, path)).filter((path) => !links.includes(path))).toEqual([]);
});

test("the threat model names only tests that exist", () => {
  expect(links.length).toBeGreaterThan(20);
  expect(links.filter((path) => !existsSync(path))).toEqual([]);
});
