import { execFileSync, spawnSync, type SpawnSyncOptions } from "node:child_process";
import { chmodSync, mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { mayLeadOut } from "../../../../../scripts/serve/agent/claude/outward-link.ts";

const OUTWARD_LINK = new URL("../../../../../scripts/serve/agent/claude/outward-link.ts", import.meta.url).href;

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
  expect(await mayLeadOut(folder, false)).toBe(true);
});

test("a link that leads out by another one is found", async () => {
  symlinkSync("..", join(folder, "up"));
  symlinkSync("up/secret", join(folder, "src", "link"));
  rmSync(join(folder, "up"));
  expect(await mayLeadOut(folder, false)).toBe(false);
  symlinkSync("..", join(folder, "up"));
  expect(await mayLeadOut(folder, false)).toBe(true);
});

test("links within the folder, to nowhere and in circles are none", async () => {
  symlinkSync("../README.md", join(folder, "src", "inside"));
  symlinkSync("..", join(folder, "src", "folder"));
  symlinkSync("nowhere", join(folder, "broken"));
  symlinkSync("circle", join(folder, "circle"));
  expect(await mayLeadOut(folder, false)).toBe(false);
});

test.each([
  ["outside", "../../../later", true],
  ["outside, by a whole path", "/nowhere/later", true],
  ["inside", "../../later", false],
  // Once `src` is a link, this is another place.
  ["where nobody knows", "../../src/../later", true],
])("a link to what is not there yet, %s", async (_, target, expected) => {
  symlinkSync(target, join(folder, "src", "deep", "link"));
  expect(await mayLeadOut(folder, false)).toBe(expected);
});

test("a link that leads out from another place counts where the session moves files unasked", async () => {
  symlinkSync("../../README.md", join(folder, "src", "deep", "link"));
  symlinkSync("deep/file", join(folder, "src", "below"));
  expect(await mayLeadOut(folder, false)).toBe(false);
  expect(await mayLeadOut(folder, true)).toBe(true);
  rmSync(join(folder, "src", "deep", "link"));
  expect(await mayLeadOut(folder, true)).toBe(false);
});

/** As another user sees it, in a process of theirs. */
function mayLeadOutSeenBy(options: SpawnSyncOptions): string {
  const look = `import { mayLeadOut } from ${JSON.stringify(OUTWARD_LINK)}; console.log(await mayLeadOut(${JSON.stringify(folder)}, false))`;
  return String(spawnSync(process.execPath, ["--input-type=module", "-e", look], options).stdout).trim();
}

test.runIf(process.getuid?.() === 0)("a folder that can be entered and not listed may have one", () => {
  const somebody = { uid: 65_534, gid: 65_534 };
  for (const one of [home, folder]) chmodSync(one, 0o755);
  symlinkSync("../../../secret", join(folder, "src", "deep", "link"));
  chmodSync(join(folder, "src", "deep"), 0o711);
  expect(mayLeadOutSeenBy(somebody)).toBe("true");
  chmodSync(join(folder, "src", "deep"), 0o700); // nobody else can go through it
  expect(mayLeadOutSeenBy(somebody)).toBe("false");
});

test("a folder whose path is too long for one call may have one", () => {
  const make = "for i in $(seq 20); do mkdir $0; cd -P $0; done; ln -s /etc link";
  execFileSync("bash", ["-c", make, "d".repeat(220)], { cwd: folder });
  return expect(mayLeadOut(folder, false)).resolves.toBe(true);
});

test("a link among git's own files is found, since grep -R reads them too", async () => {
  symlinkSync("/etc", join(folder, ".git", "link"));
  expect(await mayLeadOut(folder, false)).toBe(true);
});

test("a folder with more entries than are looked at may have one behind them", async () => {
  writeFileSync(join(folder, "src", "deep", "last"), "");
  expect(await mayLeadOut(folder, false, 5)).toBe(false);
  expect(await mayLeadOut(folder, false, 4)).toBe(true);
});
