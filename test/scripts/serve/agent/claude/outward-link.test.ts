import { mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { hasOutwardLink } from "../../../../../scripts/serve/agent/claude/outward-link.ts";

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
  expect(await hasOutwardLink(folder)).toBe(true);
});

test("a link that leads out by another one is found", async () => {
  symlinkSync("..", join(folder, "up"));
  symlinkSync("up/secret", join(folder, "src", "link"));
  rmSync(join(folder, "up"));
  expect(await hasOutwardLink(folder)).toBe(false);
  symlinkSync("..", join(folder, "up"));
  expect(await hasOutwardLink(folder)).toBe(true);
});

test("links within the folder, to nowhere, in circles and of git's own are none", async () => {
  symlinkSync("../README.md", join(folder, "src", "inside"));
  symlinkSync("..", join(folder, "src", "folder"));
  symlinkSync("nowhere", join(folder, "broken"));
  symlinkSync("circle", join(folder, "circle"));
  symlinkSync("/etc", join(folder, ".git", "link"));
  expect(await hasOutwardLink(folder)).toBe(false);
});

test("a folder is looked at up to a number of entries, the nearest first", async () => {
  symlinkSync("/etc", join(folder, "src", "link"));
  expect(await hasOutwardLink(folder, 3)).toBe(false);
  expect(await hasOutwardLink(folder, 5)).toBe(true);
});
