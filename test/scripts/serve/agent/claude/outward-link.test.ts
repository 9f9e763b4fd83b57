import { mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { mayLeadOut } from "../../../../../scripts/serve/agent/claude/outward-link.ts";

let home: string;
let folder: string;

beforeEach(() => {
  home = realpathSync(mkdtempSync(join(tmpdir(), "codez-link-")));
  folder = join(home, "repo");
  mkdirSync(join(folder, "src", "deep"), { recursive: true });
  mkdirSync(join(folder, ".git"));
  writeFileSync(join(home, "secret"), "");
  writeFileSync(join(folder, "README.md"), "");
});
afterEach(() => rmSync(home, { recursive: true, force: true }));

test.each([
  ["to a file", "../../../secret"],
  ["to a folder", "../../.."],
  ["by a whole path", "/etc"],
])("a link %s outside is found, however deep it is", async (_, target) => {
  symlinkSync(target, join(folder, "src", "deep", "link"));
  expect(await mayLeadOut(folder)).toBe(true);
});

test("a link that leads out by another one is found", async () => {
  symlinkSync("..", join(folder, "up"));
  symlinkSync("up/secret", join(folder, "src", "link"));
  rmSync(join(folder, "up"));
  expect(await mayLeadOut(folder)).toBe(false);
  symlinkSync("..", join(folder, "up"));
  expect(await mayLeadOut(folder)).toBe(true);
});

test("links within the folder, to nowhere and in circles are none", async () => {
  symlinkSync("../README.md", join(folder, "src", "inside"));
  symlinkSync("..", join(folder, "src", "folder"));
  symlinkSync("nowhere", join(folder, "broken"));
  symlinkSync("circle", join(folder, "circle"));
  expect(await mayLeadOut(folder)).toBe(false);
});

test("a link among git's own files is found, since grep -R reads them too", async () => {
  symlinkSync("/etc", join(folder, ".git", "link"));
  expect(await mayLeadOut(folder)).toBe(true);
});

test("a folder with more entries than are looked at may have one behind them", async () => {
  writeFileSync(join(folder, "src", "deep", "last"), "");
  expect(await mayLeadOut(folder, 5)).toBe(false);
  expect(await mayLeadOut(folder, 4)).toBe(true);
});
