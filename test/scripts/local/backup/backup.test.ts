import { execFileSync } from "node:child_process";
import { mkdirSync, readdirSync, statSync, writeFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { beforeEach, expect, onTestFinished, test } from "vitest";
import { BackupFile } from "../../../../scripts/local/backup/backup-file.ts";
import { backUp } from "../../../../scripts/local/backup/backup.ts";
import { restore } from "../../../../scripts/local/backup/restore.ts";

let folder: string;
let state: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "operator-backup-test-"));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  state = join(folder, "state");
  mkdirSync(join(state, "control/do"), { recursive: true });
  writeFileSync(join(state, "secrets.json"), "{}", { mode: 0o600 });
  writeFileSync(join(state, "lock.json"), "{}");
});

test("a database that is being written to is restored with everything that was committed", async () => {
  const live = new DatabaseSync(join(state, "control/do/a.sqlite"));
  onTestFinished(() => live.close());
  live.exec("PRAGMA journal_mode = WAL; CREATE TABLE t (n INTEGER); INSERT INTO t VALUES (1)");
  live.exec("BEGIN; INSERT INTO t VALUES (2)"); // not committed
  const file = join(folder, "backup");
  await backUp(state, file);
  live.exec("COMMIT");
  const restored = join(folder, "restored");
  restore(file, restored);
  const copy = new DatabaseSync(join(restored, "control/do/a.sqlite"));
  onTestFinished(() => copy.close());
  expect(copy.prepare("SELECT n FROM t").all()).toEqual([{ n: 1 }]);
});

test("a backup omits what belongs to the running process, and only its owner can read it", async () => {
  writeFileSync(join(state, "operator.log"), "words");
  mkdirSync(join(state, "platform/namespaces/machines/scripts/attic"), { recursive: true });
  writeFileSync(join(state, "platform/namespaces/machines/scripts/attic/output.log.1"), "words");
  const file = join(folder, "backup");
  expect((await backUp(state, file)).files).toBe(1);
  expect(statSync(file).mode & 0o777).toBe(0o600);
  const restored = join(folder, "restored");
  restore(file, restored);
  expect(readdirSync(restored)).toEqual(["secrets.json"]);
  expect(statSync(join(restored, "secrets.json")).mode & 0o777).toBe(0o600);
  expect(readdirSync(folder).toSorted()).toEqual(["backup", "restored", "state"]);
});

test("neither command overwrites anything", async () => {
  const file = join(folder, "backup");
  await backUp(state, file);
  await expect(backUp(state, file)).rejects.toThrow("is there already");
  expect(() => restore(file, state)).toThrow("is not empty");
});

test("a folder that is not an Operator's is refused", async () => {
  await expect(backUp(folder, join(folder, "backup"))).rejects.toThrow("OPERATOR_STATE");
});

test.each(["../outside", "a/../../outside", "/etc/outside", "a//b", ".", "..\\..\\outside"])(
  "a backup that names %j is refused, and nothing of it is kept",
  (path) => {
    const file = join(folder, "backup");
    {
      using made = BackupFile.create(file);
      made.add({ path: "1-first", mode: 0o600, content: Buffer.from("x") });
      made.add({ path, mode: 0o600, content: Buffer.from("x") });
      made.complete();
    }
    const restored = join(folder, "restored");
    expect(() => restore(file, restored)).toThrow("outside its folder");
    expect(readdirSync(restored)).toEqual([]);
  },
);

test("a file that is not a whole backup is refused by its name", async () => {
  const file = join(folder, "backup");
  writeFileSync(file, "words, and more than a few of them".repeat(100));
  expect(() => restore(file, join(folder, "restored"))).toThrow(`${file} is not a backup of Operator`);
});

const TABLE = "CREATE TABLE file (path TEXT PRIMARY KEY, mode INTEGER NOT NULL, content BLOB NOT NULL) STRICT";

/** As of somebody who wants the command to use memory, or to run, without end. */
test.each([
  ["a view in place of the table", "CREATE VIEW file AS SELECT 'a' AS path, 384 AS mode, x'' AS content"],
  ["a virtual table", "CREATE VIRTUAL TABLE file USING fts5(path, mode, content)"],
  ["a column that is computed", "CREATE TABLE file (path TEXT, mode INTEGER, content BLOB AS (zeroblob(9)))"],
  ["a second table", `${TABLE}; CREATE TABLE more (a CHECK (a > 1))`],
])("a backup with %s is refused before it is read", (_what, schema) => {
  const file = join(folder, "backup");
  const made = new DatabaseSync(file);
  made.exec(`PRAGMA user_version = 1; ${schema}`);
  made.close();
  expect(() => BackupFile.open(file)).toThrow("is not a backup of Operator");
});

test("a file that unpacks to more than any file of a backup has is not unpacked", () => {
  const file = join(folder, "backup");
  const made = BackupFile.create(file);
  made.add({ path: "large", mode: 0o4600, content: new Uint8Array(4_097) });
  made.complete();
  made[Symbol.dispose]();
  using small = BackupFile.open(file, 4_096);
  expect(() => [...small.files()]).toThrow("Cannot create a Buffer larger than 4096 bytes");
  using whole = BackupFile.open(file, 4_097);
  expect([...whole.files()].map(({ mode }) => mode)).toEqual([0o600]);
});

test("who restores is told what comes back", async () => {
  const file = join(folder, "backup");
  await backUp(state, file);
  const env = { PATH: process.env["PATH"], OPERATOR_STATE: join(folder, "restored") };
  const said = execFileSync(process.execPath, ["scripts/operator/bin.js", "restore", file], { env, encoding: "utf8" });
  expect(said).toMatch(/removed or revoked after that has access again: people, apps, tokens.*Remove and revoke it/);
});
