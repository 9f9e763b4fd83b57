import { spawn } from "node:child_process";
import { once } from "node:events";
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  readdirSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { Worker } from "node:worker_threads";
import { beforeEach, describe, expect, onTestFinished, test } from "vitest";
import { backUp } from "../../../../scripts/local/backup/backup.ts";
import { CopiesFolder, removeAbandoned } from "../../../../scripts/local/backup/copies-folder.ts";
import { removeLeftovers } from "../../../../scripts/local/leftovers.ts";
import { lookAtCopies } from "../../../../scripts/operator/look-at-copies.ts";

const MODULE = fileURLToPath(new URL("../../../../scripts/local/backup/copies-folder.ts", import.meta.url));

/** A name that mkdtemp(3) may give. */
const NAME = ".operator-backup-aB3xYz";

let folder: string;
let state: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "operator-copies-test-"));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  state = join(folder, "state");
  mkdirSync(state);
  writeFileSync(join(state, "secrets.json"), "{}", { mode: 0o600 });
});

/** A process that makes a folder in `parent`, puts a secret into it, and waits. */
async function other(parent: string): Promise<{ path: string; kill(): Promise<void> }> {
  const program = `
    import { writeFileSync } from "node:fs";
    import { CopiesFolder } from ${JSON.stringify(MODULE)};
    const { path } = CopiesFolder.make(${JSON.stringify(parent)}, "rehearsal");
    writeFileSync(path + "/secrets.json", "{}");
    console.log(path);
    setInterval(() => undefined, 60_000);`;
  const args = ["--no-warnings", "--input-type=module-typescript", "-e", program];
  const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "inherit"] });
  const kill = async (): Promise<void> => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    const ended = once(child, "exit");
    child.kill("SIGKILL");
    await ended;
  };
  onTestFinished(kill);
  const [path] = (await once(child.stdout, "data")) as [Buffer];
  return { path: path.toString().trim(), kill };
}

/** A folder as a killed process leaves it. */
function abandoned(path: string): string {
  mkdirSync(path, { mode: 0o700 });
  writeFileSync(join(path, "in-use"), "");
  writeFileSync(join(path, "secrets.json"), "{}");
  return path;
}

test("the copies of a process that was killed are removed, and those of a running one stay", async () => {
  const [running, killed] = [await other(folder), await other(folder)];
  const { path: own } = CopiesFolder.make(folder, "backup");
  await killed.kill();
  expect(removeAbandoned(folder)).toEqual({ removed: [killed.path], unclear: [] });
  expect(readdirSync(running.path)).toContain("secrets.json");
  await running.kill();
  expect(removeAbandoned(folder)).toEqual({ removed: [running.path], unclear: [] });
  expect(readdirSync(folder).toSorted()).toEqual([own.slice(folder.length + 1), "state"]);
  expect(statSync(own).mode & 0o777).toBe(0o700);
  // Removing takes no room on a disk that is full of copies.
  expect([readdirSync(own), statSync(join(own, "in-use")).size]).toEqual([["in-use"], 0]);
});

test("a removal that is killed is finished by the next one", () => {
  const path = abandoned(join(folder, NAME));
  mkdirSync(join(path, "state"));
  expect(removeAbandoned(folder).removed).toEqual([path]);
  // Killed before the lock: what remains is empty. Nobody can put anything into it but its maker, which would notice.
  mkdirSync(path, { mode: 0o700 });
  expect(removeAbandoned(folder).removed).toEqual([path]);
});

describe("nothing is removed that", () => {
  test.each([".operator-backup-", `${NAME}4`, ".operator-backup-aB.xYz", ".operator", "backup-aB3xYz"])(
    "has another name than those that Operator gives: %s",
    (name) => {
      abandoned(join(folder, name));
      expect(removeAbandoned(folder)).toEqual({ removed: [], unclear: [] });
      expect(existsSync(join(folder, name, "secrets.json"))).toBe(true);
    },
  );

  test("a link leads to", () => {
    symlinkSync(abandoned(join(folder, "of-somebody")), join(folder, NAME));
    expect(removeAbandoned(folder)).toEqual({ removed: [], unclear: [] });
    expect(existsSync(join(folder, "of-somebody/secrets.json"))).toBe(true);
  });

  test("a link in such a folder leads to", () => {
    mkdirSync(join(folder, "precious"));
    writeFileSync(join(folder, "precious/file"), "");
    symlinkSync(join(folder, "precious"), join(abandoned(join(folder, NAME)), "state"));
    expect(removeAbandoned(folder).removed).toHaveLength(1);
    expect(readdirSync(join(folder, "precious"))).toEqual(["file"]);
  });

  test("is a file", () => {
    writeFileSync(join(folder, NAME), "");
    expect(removeAbandoned(folder)).toEqual({ removed: [], unclear: [] });
  });

  test("others may have put there", () => {
    chmodSync(abandoned(join(folder, NAME)), 0o777);
    chmodSync(folder, 0o755);
    expect(removeAbandoned(folder)).toEqual({ removed: [], unclear: [] });
  });

  test("may be in the place of another, since others may write to the folder above", () => {
    abandoned(join(folder, NAME));
    chmodSync(folder, 0o777);
    expect(removeAbandoned(folder)).toEqual({ removed: [], unclear: [] });
  });

  test.runIf(process.getuid?.() === 0)("belongs to another user", () => {
    chownSync(abandoned(join(folder, NAME)), 65_534, 65_534);
    expect(removeAbandoned(folder)).toEqual({ removed: [], unclear: [] });
  });

  test("an earlier release made, which did not lock it", () => {
    const path = join(folder, NAME);
    mkdirSync(path, { mode: 0o700 });
    writeFileSync(join(path, "secrets.json"), "{}");
    expect(removeAbandoned(folder)).toEqual({ removed: [], unclear: [path] });
  });

  test("is nowhere", () => {
    expect(removeAbandoned(join(folder, "nowhere"))).toEqual({ removed: [], unclear: [] });
  });
});

test("the next backup removes what a killed one has left, also if it was within the state folder, and copies none of it", async () => {
  const left = [abandoned(join(folder, NAME)), abandoned(join(state, NAME))];
  expect((await backUp(state, join(folder, "backup"))).files).toBe(1);
  expect((await backUp(state, join(state, "inside"))).files).toBe(1);
  expect(left.map((path) => existsSync(path))).toEqual([false, false]);
});

test("the next start removes what killed starts, backups and upgrades have left, and nothing else", async () => {
  const id = "0b8f2a4e-7a0c-4d43-9c0f-2f1f5f0e9a11";
  const script = join(state, "platform/namespaces/operator/scripts/attic");
  for (const path of [script, join(state, "backups")]) mkdirSync(path, { recursive: true });
  const left = [
    `secrets.json.${id}.tmp`,
    `platform/namespaces/operator/scripts/attic/script.json.${id}.tmp`,
    "backups/before-9.0.0.new",
    `backups/before-9.0.0.new.${id}.tmp`,
  ];
  const stays = [`lock.json.${id}.tmp`, `mine.${id}.tmp`, "backups/before-9.0.0", "backups/mine"];
  for (const path of [...left, ...stays]) writeFileSync(join(state, path), "");
  const folders = [join(folder, NAME), join(state, NAME), join(state, "backups", NAME)].map(abandoned);
  const said: string[] = [];
  await removeLeftovers(state, (line) => said.push(line));
  expect([...left.map((path) => join(state, path)), ...folders].filter((path) => existsSync(path))).toEqual([]);
  expect(stays.filter((path) => !existsSync(join(state, path)))).toEqual([]);
  expect(said).toEqual(folders.map((path) => `removed ${path}, which a killed backup or upgrade had left`));
});

test("a folder that another process removes at this moment does not end a start or a backup that looks", async () => {
  // It is there for up to 0.3 ms, which is about as long as a look takes.
  const comesAndGoes = `
    const { mkdirSync, rmSync } = require("node:fs");
    const { workerData, parentPort } = require("node:worker_threads");
    parentPort.postMessage("begun");
    for (let round = 0; ; round += 1) {
      try { mkdirSync(workerData + "/in", { recursive: true, mode: 0o700 }); } catch {}
      for (const untilMs = performance.now() + (round % 16) / 50; performance.now() < untilMs; );
      try { rmSync(workerData, { recursive: true, force: true }); } catch {}
    }`;
  const worker = new Worker(comesAndGoes, { eval: true, workerData: join(folder, NAME) });
  try {
    await once(worker, "message");
    for (let looks = 0; looks < 500; looks += 1) expect(() => removeAbandoned(folder)).not.toThrow();
  } finally {
    await worker.terminate();
  }
});

test("doctor removes them as well and says so, and what it cannot tell it leaves to a person", async () => {
  const path = abandoned(join(folder, NAME));
  mkdirSync(join(folder, ".operator-rehearsal-aB3xYz/state"), { recursive: true, mode: 0o700 });
  mkdirSync(join(state, "unpacking"));
  const found = await lookAtCopies(state);
  expect(found.map(({ level, says }) => [level, says])).toEqual([
    ["ok", `removed ${path}, which a killed backup or upgrade had left`],
    ["warning", expect.stringContaining(`${folder}/.operator-rehearsal-aB3xYz may have copies of all secrets`)],
    ["problem", `a restore was killed: ${state}/unpacking has copies of all secrets`],
  ]);
});
