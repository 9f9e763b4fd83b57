import { execFile } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { fileURLToPath } from "node:url";
import { beforeAll, beforeEach, describe, expect, inject, onTestFinished, test } from "vitest";
import { WebSocket as WebSocketClient } from "ws";
import { PROTOCOL_VERSION } from "#protocol/limits.ts";
import { buildTemplate } from "../../../scripts/build/template.ts";
import { buildCodez } from "../../../scripts/build/codez.ts";
import { machineFacts } from "../../../scripts/connector/facts.ts";
import { startOperator, type RunningOperator } from "../../../scripts/local/operator.ts";
import { beginUpgrade, ownVersion } from "../../../scripts/local/release.ts";
import { describeMemory, memoryOf } from "../../../scripts/operator/look-at-memory.ts";
import { rehearse } from "../../../scripts/operator/rehearse.ts";
import { restore } from "../../../scripts/local/backup/restore.ts";
import "../../support/bundles-folder.ts";

/**
 * A state folder as release 0.1.0 left it, with two machines, an owner "dana" and a personal access token. All of its data was
 * made for this test.
 */
const OF_0_1_0 = fileURLToPath(new URL("fixtures/state-0.1.0.backup", import.meta.url));
const TOKEN = "opr_owner_3UiBR6uWyZVZYX3zwasSQH7Foxi9SakTDYtklopAYJw";
const LINK_TOKENS = {
  attic: "opl_jaoD0a7SY0XApVdlYQAnoy__6bdyAR40pMqn9VIPdwQ",
  cellar: "opl_aLa_9PkhBxE6rnimCpd1hVxTI_pswB5ctIv3v9maz6I",
};
const PASSWORD = "correct horse battery";
const OPERATOR = fileURLToPath(new URL("../../../scripts/operator/bin.js", import.meta.url));

let folder: string;
let state: string;

/** Bundling takes seconds, and every test needs the same bundles. */
beforeAll(async () => {
  process.env["OPERATOR_BUNDLES"] = inject("bundles");
  await Promise.all([buildTemplate(), buildCodez()]);
  return () => {
    delete process.env["OPERATOR_BUNDLES"];
  };
});

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "operator-upgrade-test-"));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  state = join(folder, "state");
});

/** Everything in the state folder, without what SQLite puts beside a database that is read. */
function files(): string[] {
  const all = readdirSync(state, { recursive: true }).map(String);
  return all.filter((path) => !/-(?:shm|wal)$/.test(path)).toSorted();
}

async function started(): Promise<RunningOperator> {
  const operator = await startOperator({ stateDir: state, port: 0, quiet: true });
  onTestFinished(() => operator.stop());
  return operator;
}

async function names(operator: RunningOperator, token: string): Promise<string[]> {
  const response = await fetch(`${operator.url}/api/machines`, { headers: { authorization: `Bearer ${token}` } });
  expect(response.status).toBe(200);
  return ((await response.json()) as { machines: { name: string }[] }).machines.map(({ name }) => name);
}

describe("the state of 0.1.0", () => {
  test("is opened with its machines, tokens and passwords, and backed up first", async () => {
    await restore(OF_0_1_0, state);
    const operator = await started();
    expect((await names(operator, TOKEN)).toSorted()).toEqual(["attic", "cellar"]);
    for (const [name, token] of Object.entries(LINK_TOKENS)) {
      expect([name, await dialled(operator, name, token)]).toEqual([name, "welcome"]);
    }
    // Both scripts have been called, so they run: each part's memory is told.
    const memory = await memoryOf(state);
    if (process.platform === "linux") {
      const all = [memory?.front ?? 0, memory?.gate ?? 0, ...(memory?.scripts ?? [])];
      expect(all).toHaveLength(4);
      for (const bytes of all) expect(bytes).toBeGreaterThan(4e6);
    }
    const page = await fetch(`${operator.url}/sign-in`, {
      method: "POST",
      redirect: "manual",
      headers: { origin: operator.url, "sec-fetch-site": "same-origin" },
      body: new URLSearchParams({ name: "dana", password: PASSWORD }),
    });
    expect([page.status, page.headers.getSetCookie().length > 0]).toEqual([303, true]);
    expect(readdirSync(join(state, "backups"))).toEqual([`before-${ownVersion()}`]);
    await operator.stop();
    await restore(join(state, "backups", `before-${ownVersion()}`), join(folder, "restored"));
    expect(readFileSync(join(folder, "restored", "secrets.json"), "utf8")).toContain("fixture-report-secret");
    expect(JSON.parse(readFileSync(join(state, "release.json"), "utf8"))).toEqual({ version: ownVersion() });
  });

  test("is tried in a copy and not changed", async () => {
    await restore(OF_0_1_0, state);
    const before = files();
    expect(await rehearse(state)).toEqual({ machines: 2 });
    expect(files()).toEqual(before);
    expect(readdirSync(folder)).toEqual(["state"]);
  });

  test("is refused by the rehearsal if this release cannot use it, and nothing is changed", async () => {
    await restore(OF_0_1_0, state);
    const script = join(state, "platform/namespaces/operator/scripts/attic");
    const [version = ""] = readdirSync(script).filter((name) => name.startsWith("version-"));
    writeFileSync(join(script, version, "0"), "throw new Error('this script does not start')");
    const { code, output } = await operatorCommand("upgrade");
    expect(code).toBe(1);
    expect(output).toContain("so nothing was changed");
    expect(output).toContain("attic");
    expect(existsSync(join(state, "backups"))).toBe(false);
  });
});

test("operator upgrade tries this release, restarts Operator with its options, and waits until the new process answers", async () => {
  await restore(OF_0_1_0, state);
  expect((await operatorCommand("upgrade")).output).toContain("Operator is not running. Start it with: npm start");
  const operator = await started();
  const told = await operatorCommand("upgrade");
  expect([told.code, told.output]).toEqual([
    0,
    expect.stringContaining(`Restart Operator now (process ${process.pid})`),
  ]);
  const failed = await operatorCommand("upgrade", "--restart", "exit 3");
  expect([failed.code, failed.output]).toEqual([1, expect.stringContaining('"exit 3" ended with 3')]);
  expect(await names(operator, TOKEN)).toHaveLength(2);
});

describe("the first start of a release that fails", () => {
  function write(): void {
    mkdirSync(join(state, "control"), { recursive: true });
    writeFileSync(join(state, "secrets.json"), '{"a":1}', { mode: 0o600 });
    using database = closing(new DatabaseSync(join(state, "control/a.sqlite")));
    database.it.exec("CREATE TABLE t (n INTEGER); INSERT INTO t VALUES (1)");
  }

  function change(n: number): void {
    using database = closing(new DatabaseSync(join(state, "control/a.sqlite")));
    database.it.exec(`UPDATE t SET n = ${n}`);
  }

  function rows(): unknown[] {
    using database = closing(new DatabaseSync(join(state, "control/a.sqlite"), { readOnly: true }));
    return database.it.prepare("SELECT n FROM t").all();
  }

  test("leaves the state as the previous release wrote it", async () => {
    write();
    const upgrade = await beginUpgrade(state, "9.0.0", () => undefined);
    {
      using database = closing(new DatabaseSync(join(state, "control/a.sqlite")));
      database.it.exec("UPDATE t SET n = 2");
    }
    writeFileSync(join(state, "new.json"), "{}");
    writeFileSync(join(state, "operator.log"), "what failed");
    upgrade.undo();
    expect(rows()).toEqual([{ n: 1 }]);
    expect(readdirSync(state).toSorted()).toEqual(["backups", "control", "operator.log", "secrets.json"]);
  });

  test("is not one if the folder was new at a start that failed", async () => {
    const said: string[] = [];
    const begin = () => beginUpgrade(state, "9.0.0", (line) => said.push(line));
    await rm(state, { recursive: true, force: true });
    mkdirSync(state);
    (await begin()).undo();
    write();
    (await begin()).undo();
    expect([said, rows(), existsSync(join(state, "backups"))]).toEqual([[], [{ n: 1 }], false]);
  });

  test("begins with what a restore has left that was killed", async () => {
    write();
    mkdirSync(join(state, "unpacked"));
    writeFileSync(join(state, "unpacked/secrets.json"), "{}");
    (await beginUpgrade(state, "9.0.0", () => undefined)).undo();
    expect(existsSync(join(state, "unpacked"))).toBe(false);
    expect(readFileSync(join(state, "secrets.json"), "utf8")).toBe("{}");
  });

  test("keeps the backup even if it is killed in the middle", async () => {
    write();
    await beginUpgrade(state, "9.0.0", () => undefined);
    using database = closing(new DatabaseSync(join(state, "control/a.sqlite")));
    database.it.exec("UPDATE t SET n = 2");
    // It is started again, and fails properly this time.
    (await beginUpgrade(state, "9.0.0", () => undefined)).undo();
    expect(rows()).toEqual([{ n: 1 }]);
  });

  test("puts back what was there before it, and not what was before an earlier upgrade to that release", async () => {
    write();
    for (const version of ["9.0.0", "8.0.0"]) await (await beginUpgrade(state, version, () => undefined)).keep();
    change(2);
    (await beginUpgrade(state, "9.0.0", () => undefined)).undo();
    expect(rows()).toEqual([{ n: 2 }]);
    // Nor what was before a start of it that was killed, when the release before has gone on since.
    await beginUpgrade(state, "9.0.0", () => undefined);
    await (await beginUpgrade(state, "8.0.0", () => undefined)).keep();
    change(3);
    (await beginUpgrade(state, "9.0.0", () => undefined)).undo();
    expect(rows()).toEqual([{ n: 3 }]);
  });

  test("does not affect what a successful one created, and the next start of that release makes no backup", async () => {
    write();
    const upgrade = await beginUpgrade(state, "9.0.0", () => undefined);
    writeFileSync(join(state, "new.json"), "{}");
    await upgrade.keep();
    upgrade.undo();
    expect(existsSync(join(state, "new.json"))).toBe(true);
    await rm(join(state, "backups"), { recursive: true });
    await (await beginUpgrade(state, "9.0.0", () => undefined)).keep();
    expect(existsSync(join(state, "backups"))).toBe(false);
  });

  test("keeps the last two backups, whatever else is beside them", async () => {
    write();
    mkdirSync(join(state, "backups/of-mine"), { recursive: true });
    for (const version of ["7.0.0", "8.0.0", "9.0.0"])
      await (await beginUpgrade(state, version, () => undefined)).keep();
    expect(readdirSync(join(state, "backups")).toSorted()).toEqual(["before-8.0.0", "before-9.0.0", "of-mine"]);
  });
});

test("memory is reported for each part and each machine", () => {
  const { says } = describeMemory({ front: 90e6, gate: 80e6, scripts: [15e6, 17e6] });
  expect(says).toBe("memory 193 MB: front 86 MB, gate 76 MB, 2 running machine scripts 31 MB, 15 MB each");
});

function closing<T extends { close(): void }>(it: T): { it: T } & Disposable {
  return { it, [Symbol.dispose]: () => it.close() };
}

/** Dials a machine's link as its connector does. */
function dialled(operator: RunningOperator, slug: string, token: string): Promise<string> {
  const socket = new WebSocketClient(`${operator.url.replace("http", "ws")}/m/${slug}/link`, {
    headers: { authorization: `Bearer ${token}` },
  });
  return new Promise((resolve) => {
    socket.on("unexpected-response", (_, response) => resolve(`HTTP ${response.statusCode}`));
    socket.on("error", ({ message }) => resolve(message));
    socket.on("open", () => {
      const facts = { ...machineFacts("0.1.0") };
      socket.send(JSON.stringify({ type: "hello", protocol: PROTOCOL_VERSION, stream: "kept", facts }));
    });
    socket.on("message", (text) => {
      resolve((JSON.parse(String(text)) as { type: string }).type);
      socket.close();
    });
  });
}

function operatorCommand(...args: string[]): Promise<{ code: number; output: string }> {
  return new Promise((resolve) => {
    execFile(
      process.execPath,
      [OPERATOR, ...args],
      { env: { ...process.env, OPERATOR_STATE: state } },
      (error, out, err) => resolve({ code: error === null ? 0 : Number(error.code), output: out + err }),
    );
  });
}
