import { accessSync, constants, cpSync, readFileSync, statSync } from "node:fs";
import { mkdtemp } from "node:fs/promises";
import { delimiter, join } from "node:path";
import { afterAll, beforeAll, expect, onTestFinished, test } from "vitest";
import * as z from "zod";
import { MachineSummary } from "#protocol/rest-api.ts";
import { ExitCode } from "../../scripts/codez/exit-code.ts";
import { peerBin } from "../peers/bin.ts";
import { Codez, codez, type Ended } from "../scripts/codez/commands/support/codez.ts";
import { client } from "./support/clients.ts";
import { until } from "./support/eventually.ts";
import { TestOperator } from "./support/operator.ts";
import { startedHere } from "./support/processes.ts";
import { run } from "./support/run.ts";
import { Workshop } from "./support/workshop.ts";

const Machines = z.object({ machines: z.array(MachineSummary) });
const Status = z.object({ status: z.string(), name: z.string(), mcpUrl: z.string() });

const EVERYTHING = [process.execPath, peerBin("mcp-server-everything"), "stdio"];

let operator: TestOperator;
let workshop: Workshop;

beforeAll(async () => {
  operator = await TestOperator.start();
  workshop = await Workshop.start();
  operator.own(workshop);
});

afterAll(() => operator[Symbol.asyncDispose]());

/** A computer: what CODEZ_HOME is there. */
function computer(): Promise<string> {
  return mkdtemp(join(operator.folder, "computer-"));
}

const hub = (): Record<string, string> => ({ CODEZ_HUB: operator.url });

function on(home: string, ...args: string[]): Promise<Ended> {
  return codez(home, args, hub());
}

/** A `codez connect` that runs until the test is over. */
async function connect(home: string, name: string): Promise<Codez> {
  const connector = new Codez(home, ["connect", name], hub());
  onTestFinished(() => connector[Symbol.asyncDispose]());
  await connector.says("online");
  return connector;
}

async function callTool(machineId: string, name: string, args: object): Promise<unknown> {
  await using made = await client(operator.mcpUrl, "2025-11-25");
  return await made.callTool({ name: "call_tool", arguments: { machineId, name, arguments: args } });
}

const profileOf = (home: string, name: string): string => join(home, "machines", `${name}.json`);

test("a new user sets up two machines on one computer, connects them, and calls tools on both", async () => {
  const home = await computer();
  const attic = await on(home, "setup", "attic", "--", ...EVERYTHING);
  expect([attic.code, attic.out]).toEqual([
    ExitCode.OK,
    expect.stringContaining(`"attic" is online at ${operator.url}`),
  ]);
  const barn = await on(home, "setup", "barn", "--url", workshop.url.href);
  expect([barn.code, barn.out]).toEqual([ExitCode.OK, expect.stringContaining("codez connect barn")]);

  // The link token is in a file of its owner's, and is shown nowhere.
  const profile = readFileSync(profileOf(home, "attic"), "utf8");
  const { token } = z.object({ token: z.string().min(32) }).parse(JSON.parse(profile));
  expect(statSync(profileOf(home, "attic")).mode & 0o777).toBe(0o600);
  expect(statSync(join(home, "machines")).mode & 0o777).toBe(0o700);
  expect(attic.out + attic.err).not.toContain(token);

  await until("attic, which was online to be tested, is offline", async () => {
    const { code, out } = await on(home, "status", "attic", "--json");
    return code === ExitCode.NOT_ONLINE && Status.parse(JSON.parse(out)).status === "offline";
  });
  await connect(home, "attic");
  await connect(home, "barn");
  const online = await on(home, "status", "attic", "--json");
  expect([online.code, Status.parse(JSON.parse(online.out))]).toMatchObject([
    ExitCode.OK,
    { name: "attic", status: "online" },
  ]);
  // The list knows a machine by its reports, which come a moment after its link.
  await until("the list shows both online", async () => {
    const { machines } = Machines.parse(JSON.parse((await on(home, "machines", "--json")).out));
    return machines.map(({ name, status }) => `${name} ${status}`).join() === "attic online,barn online";
  });
  expect((await on(home, "machines")).out).toMatch(/^attic +online/m);

  expect(await callTool("attic", "echo", { message: "hello" })).toMatchObject({ content: [{ text: "Echo: hello" }] });
  expect(await callTool("barn", "add", { a: 1, b: 2 })).toMatchObject({ structuredContent: { sum: 3 } });
});

test("a second setup keeps what is right, repairs what is wrong, and gives a machine its name back", async () => {
  const home = await computer();
  expect((await on(home, "setup", "cellar", "--url", workshop.url.href)).code).toBe(ExitCode.OK);
  const before = readFileSync(profileOf(home, "cellar"), "utf8");
  const again = await on(home, "setup", "cellar");
  expect([again.code, again.out]).toEqual([ExitCode.OK, expect.stringContaining("it was set up before")]);
  expect(readFileSync(profileOf(home, "cellar"), "utf8")).toBe(before);

  // Somebody removed it at Operator: the same computer is that machine again, under the same name.
  expect((await operator.api("DELETE", "/api/machines/cellar")).status).toBe(204);
  const repaired = await on(home, "setup");
  expect([repaired.code, repaired.out]).toEqual([ExitCode.OK, expect.stringContaining('"cellar" is online')]);
  await connect(home, "cellar");
  expect(await callTool("cellar", "add", { a: 2, b: 2 })).toMatchObject({ structuredContent: { sum: 4 } });

  // Another computer of the same person does not get the name by accident.
  const other = await computer();
  const taken = await on(other, "setup", "cellar", "--url", workshop.url.href);
  expect([taken.code, taken.err]).toEqual([ExitCode.NAME_TAKEN, expect.stringContaining("--replace")]);
});

test("a second connector on this computer is refused, and one on a copy of it takes over", async () => {
  const home = await computer();
  await on(home, "setup", "loft", "--url", workshop.url.href);
  const first = await connect(home, "loft");
  const second = await on(home, "connect", "loft");
  expect([second.code, second.err]).toEqual([
    ExitCode.ALREADY_CONNECTED,
    expect.stringContaining(`${first.process.pid}`),
  ]);
  const copy = await computer();
  for (const file of ["loft.json", "loft.key"]) cpSync(join(home, "machines", file), join(copy, "machines", file));
  const copied = await connect(copy, "loft");
  // Who dialled last has the link. The first one may have dialled again, if the script was restarted just before.
  const { code, err } = await Promise.race([first.ended(), copied.ended()]);
  expect([code, err]).toEqual([ExitCode.REPLACED, expect.stringContaining("codez connect")]);
  expect(await callTool("loft", "add", { a: 3, b: 3 })).toMatchObject({ structuredContent: { sum: 6 } });
});

test("after rename the running connector follows; remove ends it and leaves nothing behind", async () => {
  const home = await computer();
  await on(home, "setup", "shed", "--url", workshop.url.href);
  const connector = await connect(home, "shed");
  const renamed = await on(home, "rename", "shed", "hut");
  expect([renamed.code, renamed.out]).toEqual([ExitCode.OK, expect.stringContaining('"shed" is now "hut"')]);
  await until("hut answers", async () =>
    JSON.stringify(await callTool("hut", "add", { a: 4, b: 4 })).includes('"sum":8'),
  );
  expect(await callTool("shed", "add", { a: 4, b: 4 })).toMatchObject({
    structuredContent: { error: { code: "machine_unknown" } },
  });
  expect(connector.process.exitCode).toBeNull();
  // The old name is free again, for the same machine as for any other.
  for (const [from, to] of [
    ["hut", "shed"],
    ["shed", "hut"],
  ] as const) {
    const { code, err } = await on(home, "rename", from, to);
    expect([code, err]).toEqual([ExitCode.OK, expect.any(String)]); // shows why it was refused
  }
  await until("hut answers again", async () =>
    JSON.stringify(await callTool("hut", "add", { a: 4, b: 4 })).includes('"sum":8'),
  );

  const removed = await on(home, "remove", "hut", "--yes");
  expect([removed.code, removed.out]).toEqual([ExitCode.OK, expect.stringContaining("removed")]);
  expect((await connector.ended()).code).not.toBe(ExitCode.OK);
  expect((await on(home, "status")).code).toBe(ExitCode.NOT_SET_UP);
  expect((await on(home, "remove", "hut", "--yes")).code).toBe(ExitCode.MACHINE_UNKNOWN);
});

test("each kind of failure has its own exit code, and says what to do", async () => {
  const home = await computer();
  const unreachable = await codez(home, ["setup", "x"], { CODEZ_HUB: "http://127.0.0.1:1" });
  expect([unreachable.code, unreachable.err]).toEqual([ExitCode.HUB_UNREACHABLE, expect.stringContaining("--hub")]);
  expect((await on(home, "connect")).code).toBe(ExitCode.NOT_SET_UP);
  expect((await on(home, "status")).err).toContain("codez setup");
  expect((await on(home, "setup", "x", "--nonsense")).code).toBe(ExitCode.USAGE);
  expect((await on(home, "setup", "x", "--url", "not-a-url")).code).toBe(ExitCode.USAGE);
  expect((await on(home, "setup", "api", "--url", workshop.url.href)).code).toBe(ExitCode.USAGE);
  expect((await on(home, "rename", "nothing", "else")).code).toBe(ExitCode.MACHINE_UNKNOWN);
});

test("each session of a stdio server has a process of its own, which ends with the connector", async () => {
  const home = await computer();
  await on(home, "setup", "pantry", "--", ...EVERYTHING);
  const connector = await connect(home, "pantry");
  const servers = () =>
    startedHere().flatMap(({ pid, command }) => (command.includes("server-everything") ? [pid] : []));
  const url = new URL("/m/pantry/mcp", operator.url);
  await using one = await client(url, "2025-11-25");
  await one.callTool({ name: "echo", arguments: { message: "1" } });
  const ofOne = servers();
  await using other = await client(url, "2025-11-25");
  await other.callTool({ name: "echo", arguments: { message: "2" } });
  expect(servers().filter((pid) => !ofOne.includes(pid))).not.toEqual([]);
  connector.process.kill("SIGTERM");
  expect((await connector.ended()).code).toBe(ExitCode.OK);
  await until("the end of the servers", () => servers().length === 0);
});

/** A Node that belongs to the computer, not to this repository: what a machine without a clone has. */
function systemNode(): string | null {
  const folders = (process.env["PATH"] ?? "").split(delimiter).filter((folder) => !folder.includes("node_modules"));
  const has = (folder: string, program: string): boolean => {
    try {
      accessSync(join(folder, program), constants.X_OK);
      return true;
    } catch {
      return false; // not in this one
    }
  };
  return folders.find((folder) => has(folder, "node") && has(folder, "npx")) ?? null;
}

test.skipIf(systemNode() === null)(
  "another computer needs no clone: npx runs codez from Operator's own tarball",
  async () => {
    const home = await computer();
    const folder = systemNode() ?? "";
    const path = (process.env["PATH"] ?? "").split(delimiter).filter((one) => !one.includes("node_modules"));
    // No CODEZ_HUB: it knows from which Operator it came.
    const env = {
      HOME: home,
      CODEZ_HOME: join(home, "codez"),
      npm_config_cache: join(home, "npm"),
      npm_config_update_notifier: "false",
      PATH: path.join(delimiter),
    };
    const npx = (...args: string[]) =>
      run(join(folder, "npx"), ["-y", `${operator.url}/codez.tgz`, ...args], { cwd: home, env });
    const version = await run(join(folder, "node"), ["--version"], { env });
    expect(Number(/^v(\d+)/.exec(version.stdout)?.[1])).toBeGreaterThanOrEqual(20);
    const set = await npx("setup", "garage", "--url", workshop.url.href);
    expect([set.code, set.stdout]).toEqual([ExitCode.OK, expect.stringContaining('"garage" is online')]);
    expect(set.stdout).toContain(`Keep it connected: npx -y ${operator.url}/codez.tgz connect`);
    const status = await npx("status", "--json");
    expect([status.code, Status.parse(JSON.parse(status.stdout)).status]).toEqual([ExitCode.NOT_ONLINE, "offline"]);
  },
);
