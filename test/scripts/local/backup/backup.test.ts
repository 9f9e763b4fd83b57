import { execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { beforeEach, describe, expect, onTestFinished, test } from "vitest";
import { BackupFile } from "../../../../scripts/local/backup/backup-file.ts";
import { backUp } from "../../../../scripts/local/backup/backup.ts";
import { takeLock } from "../../../../scripts/local/lock.ts";
import { finishRestore, restore, restoreOf, unpack } from "../../../../scripts/local/backup/restore.ts";

const TABLE = "CREATE TABLE file (path TEXT PRIMARY KEY, mode INTEGER NOT NULL, content BLOB NOT NULL) STRICT";

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
  await restore(file, restored);
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
  await restore(file, restored);
  expect(readdirSync(restored)).toEqual(["restored", "secrets.json"]);
  expect(statSync(join(restored, "secrets.json")).mode & 0o777).toBe(0o600);
  expect(readdirSync(folder).toSorted()).toEqual(["backup", "restored", "state"]);
});

test.skipIf(process.getuid?.() !== 0)(
  "a backup and a restore on a disk that fills up say so in a sentence, leave nothing, and succeed once there is room",
  async () => {
    writeFileSync(join(state, "control/do/a.sqlite"), "");
    const live = new DatabaseSync(join(state, "control/do/a.sqlite"));
    onTestFinished(() => live.close());
    live.prepare("CREATE TABLE t AS SELECT ? AS content").run(randomBytes(200_000));
    const good = join(folder, "backup");
    await backUp(state, good);
    const disk = join(folder, "disk");
    mkdirSync(disk);
    execFileSync("mount", ["-t", "tmpfs", "-o", "size=1m", "none", disk]);
    onTestFinished(() => void execFileSync("umount", ["--lazy", disk]));
    for (const leftKb of [0, 8, 100, 180]) {
      writeFileSync(join(disk, "filler"), Buffer.alloc((1_024 - leftKb) * 1_024));
      const full = new RegExp(`^the disk of ${disk}\\S* is full\\. Free some space there`);
      await expect(backUp(state, join(disk, "backup"))).rejects.toThrow(full);
      await expect(restore(good, join(disk, "state"))).rejects.toThrow(full);
      expect(readdirSync(disk).filter((name) => name !== "state")).toEqual(["filler"]);
      rmSync(join(disk, "filler"));
    }
    await restore(good, join(disk, "state"));
    expect((await backUp(join(disk, "state"), join(disk, "backup"))).files).toBe(3);
  },
);

test("each restore has another id, also one of a restored Operator's backup", async () => {
  const ids: (string | null)[] = [await restoreOf(state)];
  for (const from of [state, join(folder, "first"), join(folder, "first")]) {
    const file = join(folder, `backup-${ids.length}`);
    await backUp(from, file);
    const restored = join(folder, ids.length === 1 ? "first" : `other-${ids.length}`);
    await restore(file, restored);
    ids.push(await restoreOf(restored));
  }
  expect(ids[0]).toBeNull();
  expect(new Set(ids).size).toBe(4);
});

test("neither command overwrites anything", async () => {
  const file = join(folder, "backup");
  await backUp(state, file);
  await expect(backUp(state, file)).rejects.toThrow("is there already");
  await expect(restore(file, state)).rejects.toThrow("is not empty");
});

test("a folder that is not an Operator's is refused", async () => {
  await expect(backUp(folder, join(folder, "backup"))).rejects.toThrow("OPERATOR_STATE");
});

test.each(["../outside", "a/../../outside", "/etc/outside", "a//b", ".", "..\\..\\outside"])(
  "a backup that names %j is refused, and nothing of it is kept",
  async (path) => {
    const file = join(folder, "backup");
    {
      using made = BackupFile.create(file);
      made.add({ path: "1-first", mode: 0o600, content: Buffer.from("x") });
      made.add({ path, mode: 0o600, content: Buffer.from("x") });
      made.complete();
    }
    const restored = join(folder, "restored");
    await expect(restore(file, restored)).rejects.toThrow("outside its folder");
    expect(readdirSync(restored)).toEqual([]);
  },
);

test("what no backup has is not restored: a lock, what looks like another restore, copies of secrets", async () => {
  const file = join(folder, "backup");
  {
    using made = BackupFile.create(file);
    const former = [
      "lock.json",
      "unpacked/secrets.json",
      "unpacking/a",
      "backups/before-1",
      ".operator-backup-aB3xYz/a",
    ];
    for (const path of ["secrets.json", ...former]) made.add({ path, mode: 0o600, content: Buffer.from("{}") });
    made.complete();
  }
  const restored = join(folder, "restored");
  expect((await restore(file, restored)).files).toBe(1);
  expect(readdirSync(restored, { recursive: true })).toEqual(["restored", "secrets.json"]);
});

test("a pipe is refused, and not waited for", async () => {
  execFileSync("mkfifo", [join(folder, "pipe")]);
  await expect(restore(join(folder, "pipe"), join(folder, "restored"))).rejects.toThrow("it is not a file");
});

test("a file that is not a whole backup is refused by its name", async () => {
  const file = join(folder, "backup");
  writeFileSync(file, "words, and more than a few of them".repeat(100));
  await expect(restore(file, join(folder, "restored"))).rejects.toThrow(`${file} is not a backup of Operator`);
});

describe("a file that is too large for one value of SQLite", () => {
  const PART = 4_096;
  const formatOf = (file: string): unknown => {
    const database = new DatabaseSync(file, { readOnly: true });
    onTestFinished(() => database.close());
    return database.prepare("PRAGMA user_version").get()?.["user_version"];
  };

  test("is restored whole, also a database", async () => {
    const database = new DatabaseSync(join(state, "control/do/a.sqlite"));
    database.exec("CREATE TABLE t (b BLOB); INSERT INTO t VALUES (randomblob(20000))");
    const stored = database.prepare("SELECT hex(b) AS b FROM t").get();
    database.close();
    const contents = [0, 1, PART, PART + 1, 3 * PART].map((bytes) => randomBytes(bytes));
    for (const [index, content] of contents.entries()) writeFileSync(join(state, `control/${index}`), content);
    const file = join(folder, "backup");
    expect((await backUp(state, file, PART)).files).toBe(7);
    const restored = join(folder, "restored");
    expect((await restore(file, restored)).files).toBe(7);
    for (const [index, content] of contents.entries())
      expect(readFileSync(join(restored, `control/${index}`)).equals(content), `${content.length} bytes`).toBe(true);
    const copy = new DatabaseSync(join(restored, "control/do/a.sqlite"));
    onTestFinished(() => copy.close());
    expect(copy.prepare("SELECT hex(b) AS b FROM t").get()).toEqual(stored);
  });

  test("is what the release before cannot read, and a backup without one is as it was", async () => {
    writeFileSync(join(state, "control/large"), randomBytes(PART));
    await backUp(state, join(folder, "plain"), PART);
    await backUp(state, join(folder, "parts"), PART - 1);
    expect([formatOf(join(folder, "plain")), formatOf(join(folder, "parts"))]).toEqual([1, 2]);
  });

  test.each([["a//1"], ["a", "a//2"], ["a", "b//1"], ["a", "b", "a//1"], ["a//b", "a//b//1"]])(
    "is refused if its parts are %j %j %j",
    (...paths) => {
      const file = join(folder, "backup");
      {
        using made = BackupFile.create(file);
        for (const path of paths) made.add({ path, mode: 0o600, content: Buffer.from("x") });
        made.complete();
      }
      expect(() => unpack(file, join(folder, "restored"))).toThrow(/is missing|outside its folder/);
    },
  );
});

describe("restoring beside something else", () => {
  test("is done by one of several, whose files stay", async () => {
    writeFileSync(join(state, "control/do/a"), "x");
    const file = join(folder, "backup");
    await backUp(state, file);
    const restored = join(folder, "restored");
    const all = await Promise.allSettled(Array.from({ length: 4 }, () => restore(file, restored)));
    expect(all.filter(({ status }) => status === "fulfilled")).toHaveLength(1);
    expect(readdirSync(restored).toSorted()).toEqual(["control", "restored", "secrets.json"]);
  });

  test("is refused while an Operator starts there, of which nothing is removed", async () => {
    const file = join(folder, "backup");
    await backUp(state, file);
    const other = join(folder, "other");
    mkdirSync(other);
    const lock = await takeLock(join(other, "lock.json"));
    onTestFinished(() => lock.release());
    await expect(restore(file, other)).rejects.toThrow("already running");
    expect(readdirSync(other)).toEqual(["lock.json"]);
  });
});

describe("a restore that was killed", () => {
  test("while it unpacked, leaves a folder with which nothing is started, and can be repeated", async () => {
    const file = join(folder, "backup");
    await backUp(state, file);
    const half = join(folder, "half");
    mkdirSync(join(half, "unpacking/control"), { recursive: true });
    writeFileSync(join(half, "unpacking/control/former"), "a secret");
    expect(() => finishRestore(half)).toThrow("Restore it again");
    expect(readdirSync(half, { recursive: true })).toEqual(["unpacking"]);
    expect(() => finishRestore(half)).toThrow("Restore it again");
    await restore(file, half);
    expect(readdirSync(half)).toEqual(["restored", "secrets.json"]);
  });

  test("after that, is finished by the next start", () => {
    const whole = join(folder, "whole");
    mkdirSync(join(whole, "unpacked/control"), { recursive: true });
    mkdirSync(join(whole, "control"));
    writeFileSync(join(whole, "control/former"), "");
    writeFileSync(join(whole, "unpacked/control/new"), "");
    writeFileSync(join(whole, "unpacked/secrets.json"), "{}");
    finishRestore(whole);
    finishRestore(whole);
    expect(readdirSync(whole, { recursive: true }).toSorted()).toEqual(["control", "control/new", "secrets.json"]);
  });

  test("in the middle of that, leaves no Operator's folder, since that is what its last file makes it", () => {
    const whole = join(folder, "whole");
    mkdirSync(join(whole, "unpacked"), { recursive: true });
    writeFileSync(join(whole, "unpacked/secrets.json"), "{}");
    // A name that is no UTF-8, the last of all, is read as another one, which cannot be put in place.
    writeFileSync(Buffer.concat([Buffer.from(join(whole, "unpacked/")), Buffer.from([0xff])]), "");
    expect(() => finishRestore(whole)).toThrow("ENOENT");
    expect(readdirSync(whole)).toEqual(["unpacked"]);
  });
});

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

test("a backup in a format that is not known yet is refused", () => {
  const file = join(folder, "backup");
  const made = new DatabaseSync(file);
  made.exec(`PRAGMA user_version = 3; ${TABLE}`);
  made.close();
  expect(() => BackupFile.open(file)).toThrow("it has format 3, and this release reads up to 2");
});

test("a file that unpacks to more than any file of a backup has is not unpacked", () => {
  const file = join(folder, "backup");
  const made = BackupFile.create(file);
  made.add({ path: "large", mode: 0o4600, content: new Uint8Array(4_097) });
  made.complete();
  made[Symbol.dispose]();
  using small = BackupFile.open(file, 4_096);
  expect(() => [...small.parts()]).toThrow("Cannot create a Buffer larger than 4096 bytes");
  using whole = BackupFile.open(file, 4_097);
  expect([...whole.parts()].map(({ mode }) => mode)).toEqual([0o600]);
});

test("who restores is told what comes back", async () => {
  const file = join(folder, "backup");
  await backUp(state, file);
  const env = { PATH: process.env["PATH"], OPERATOR_STATE: join(folder, "restored") };
  const said = execFileSync(process.execPath, ["scripts/operator/bin.js", "restore", file], { env, encoding: "utf8" });
  expect(said).toMatch(/removed or revoked after that has access again: people, apps, tokens.*Remove and revoke it/);
});
