// Root cause: an existing state folder was used as it was. Whoever could write to it could replace secrets.json, and then knew the
// owner's token. One that others may write to counted as Operator's if it had a secrets.json, which they could have made. A backup was restored
// into such a folder, and left it as it was.
import { execFileSync } from "node:child_process";
import { chmodSync, chownSync, lchownSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs"; // prettier-ignore
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, onTestFinished, test, vi } from "vitest";
import { restore } from "../../../scripts/local/backup/restore.ts";
import { openState } from "../../../scripts/local/state.ts";

const BACKUP = join(import.meta.dirname, "../../scripts/operator/fixtures/state-0.1.0.backup");

let folder: string;
let state: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "operator-state-folder-"));
  state = join(folder, "state");
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const modeOf = (path: string) => statSync(path).mode & 0o7777;

function existing(mode: number, ...files: string[]): void {
  mkdirSync(state);
  for (const name of files) writeFileSync(join(state, name), "{}");
  chmodSync(state, mode);
}

test("a new state folder is private, whatever the umask", async () => {
  const before = process.umask(0);
  await openState(state).finally(() => process.umask(before));
  expect(modeOf(state)).toBe(0o700);
});

test.each([0o775, 0o777, 0o757, 0o2775])(
  "an empty folder, or Operator's own, that others may write to (%o) is made private",
  async (mode) => {
    existing(mode);
    await openState(state);
    expect(modeOf(state) & 0o077).toBe(0);
    writeFileSync(join(state, "secrets.json"), "{}");
    chmodSync(state, mode);
    await openState(state);
    expect(modeOf(state) & 0o077).toBe(0);
  },
);

test.each([
  ["of other things, that others may write to", 0o775, ["photo.jpg"]],
  ["for everybody, such as /tmp", 0o1777, []],
  ["for everybody, even if it has a file of ours", 0o1777, ["secrets.json"]],
])("a state folder %s is refused and not changed", async (_, mode, files) => {
  existing(mode, ...files);
  await expect(openState(state)).rejects.toThrow(`other users may replace what is in ${state}: run chmod 700`);
  expect(modeOf(state)).toBe(mode);
});

test("a state folder that others may only read is not changed, because its files are private", async () => {
  existing(0o755, "photo.jpg");
  await openState(state);
  expect(modeOf(state)).toBe(0o755);
});

test.runIf(process.getuid?.() === 0)("a state folder of another user is refused", async () => {
  existing(0o700);
  chownSync(state, 65_534, 65_534);
  await expect(openState(state)).rejects.toThrow(`${state} belongs to another user (65534)`);
});

test.runIf(process.getuid?.() === 0).each(["secrets.json", "control"])(
  "a state folder in which another user has put %s is refused, however private it is by then",
  async (name) => {
    existing(0o777, "secrets.json", "control");
    chownSync(join(state, name), 65_534, 65_534);
    for (const mode of [0o777, 0o700]) {
      chmodSync(state, mode);
      await expect(openState(state)).rejects.toThrow(`${join(state, name)} belongs to another user (65534)`);
    }
  },
);

test.runIf(process.getuid?.() === 0)("so is one with another user's link to a file of ours", async () => {
  existing(0o700, "secrets.json");
  symlinkSync(join(state, "secrets.json"), join(state, "control"));
  lchownSync(join(state, "control"), 65_534, 65_534);
  await expect(openState(state)).rejects.toThrow(`${join(state, "control")} belongs to another user (65534)`);
});

test("a folder of bundles that others may write to is refused, because they could change what runs", async () => {
  chmodSync(folder, 0o755); // nobody gets into that of the test
  const bundles = join(folder, "bundles");
  mkdirSync(bundles);
  chmodSync(bundles, 0o777);
  vi.stubEnv("OPERATOR_BUNDLES", bundles);
  onTestFinished(() => void vi.unstubAllEnvs());
  await expect(openState(state)).rejects.toThrow(`${bundles} is not used: other users may write to ${bundles}`);
});

test("a folder that others may write to is made private before a backup is restored into it", async () => {
  existing(0o777);
  await restore(BACKUP, state);
  expect(modeOf(state)).toBe(0o700);
});

test.each(["000", "777"])(
  "with a umask of %s a restored file and a backup are their owner's alone, who can use them",
  (umask) => {
    const operator = join(import.meta.dirname, "../../../scripts/operator/bin.js");
    const run = (...words: string[]) =>
      execFileSync("sh", ["-c", `umask ${umask}; exec "$0" "$@"`, process.execPath, operator, ...words], {
        env: { ...process.env, OPERATOR_STATE: state },
      });
    run("restore", BACKUP);
    const backup = join(folder, "backup");
    run("backup", backup);
    expect(modeOf(backup)).toBe(0o600);
    const restored = readdirSync(state, { recursive: true, withFileTypes: true });
    expect(restored.map(({ name }) => name)).toContain("secrets.json");
    for (const entry of restored)
      expect([entry.name, modeOf(join(entry.parentPath, entry.name))]).toEqual([
        entry.name,
        entry.isFile() ? 0o600 : 0o700,
      ]);
  },
);

test.runIf(process.getuid?.() === 0)("no backup is restored into a folder of another user", async () => {
  existing(0o700);
  chownSync(state, 65_534, 65_534);
  await expect(restore(BACKUP, state)).rejects.toThrow(`${state} belongs to another user (65534)`);
  expect(readdirSync(state)).toEqual([]);
});
