import { randomUUID } from "node:crypto";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, expect, test } from "vitest";
import { commandLineOf, isAlive, processesOf } from "./support/process.ts";
import { obedient, TestMachine, until, type Answer, type TestClient } from "./support/machine.ts";

let machine: TestMachine;

afterEach(() => machine[Symbol.asyncDispose]());

/** A session in the middle of a command that would run indefinitely, in a process group of its own. */
async function running(client: TestClient): Promise<{ session: string; command: number }> {
  const cwd = machine.repo("repo");
  const cursor = await client.now();
  const session = await client.create(cwd, { prompt: "bash echo $$ > command.pid; tail -f /dev/null" });
  const events = await client.eventsUntil((event) => event["type"] === "permission.requested", cursor, session);
  const request = events.at(-1)?.["request_id"];
  await client.call("respond_permission", { session_id: session, request_id: request, behavior: "allow" });
  const file = join(cwd, "command.pid");
  const command = await until("the command", () => {
    return existsSync(file) ? Number(readFileSync(file, "utf8")) || undefined : undefined;
  });
  return { session, command };
}

async function isEmpty(except = 0): Promise<void> {
  await until("everything to be gone", () => {
    return processesOf(machine.home, except).some(isAlive) ? undefined : true;
  });
}

test.each(["SIGTERM", "SIGKILL"] as const)(
  "%s of serve in the middle of a turn leaves no process behind",
  async (signal) => {
    machine = await TestMachine.start({ script: obedient, config: { respondPermission: true } });
    await using client = await machine.connect();
    const { command } = await running(client);
    expect(isAlive(command)).toBe(true);
    expect(processesOf(machine.home, machine.pid).length).toBeGreaterThan(2);
    await machine.stop(signal);
    await isEmpty();
  },
);

test("when serve and its keeper are both killed, the next start ends the processes that they left", async () => {
  machine = await TestMachine.start({ script: obedient, config: { respondPermission: true } });
  await using client = await machine.connect();
  const { command } = await running(client);
  for (const pid of processesOf(machine.home, 0)) {
    if (commandLineOf(pid).includes("keeper")) process.kill(pid, "SIGKILL");
  }
  await machine.stop("SIGKILL");
  await machine.serve();
  await until("the command to be gone", () => (isAlive(command) ? undefined : true));
  await isEmpty(machine.pid);
});

test("a start removes the drafts of files that a killed serve was writing, and nothing else", async () => {
  machine = await TestMachine.start({ script: obedient });
  await machine.stop("SIGKILL");
  const folder = join(machine.home, ".codez", "serve");
  const before = readdirSync(folder);
  for (const name of ["state.json", "sessions.json"]) writeFileSync(join(folder, `${name}.${randomUUID()}`), "{");
  writeFileSync(join(folder, "state.json.old"), "{}");
  await machine.serve();
  expect(readdirSync(folder).filter((name) => !before.includes(name))).toEqual(["state.json.old"]);
});

test("disposing of a busy session ends all its processes, and a prompt resumes it", async () => {
  machine = await TestMachine.start({ script: obedient, config: { respondPermission: true } });
  await using client = await machine.connect();
  const { session, command } = await running(client);
  expect(await client.call("dispose_session", { session_id: session })).toMatchObject({ disposed: true });
  expect(isAlive(command)).toBe(false);
  expect(await client.call("dispose_session", { session_id: session })).toMatchObject({ disposed: false });
  const resumed = await client.call("send_and_wait", { session_id: session, text: "and now?", slug: "-" });
  expect(resumed).toMatchObject({ status: "done", result: "Heard: and now?" });
  expect(machine.api.lastOfTurn?.prompts[0]).toContain("tail -f");
});

test("a crashed agent causes an error with its last output and ends its commands, and the session can continue", async () => {
  machine = await TestMachine.start({ script: obedient, config: { respondPermission: true } });
  await using client = await machine.connect();
  const { session, command } = await running(client);
  const cursor = await client.now();
  const agent = processesOf(machine.home, 0).find((pid) => commandLineOf(pid).includes(session));
  process.kill(agent ?? 0, "SIGKILL");
  const events = await client.eventsUntil((event) => event["type"] === "session.updated", cursor, session);
  expect(events).toContainEqual(
    expect.objectContaining({ type: "session.error", message: expect.stringContaining("SIGKILL"), lost_prompts: 1 }),
  );
  await until("its command to be gone", () => (isAlive(command) ? undefined : true));
  expect(await client.call("send_and_wait", { session_id: session, text: "back?", slug: "-" })).toMatchObject({
    result: "Heard: back?",
  });
});

test("after a restart sessions are listed, know their history, and continue", async () => {
  machine = await TestMachine.start({ script: obedient });
  let client = await machine.connect();
  const cwd = machine.repo("repo");
  const said = await client.create(cwd);
  await client.call("send_and_wait", { session_id: said, text: "before the restart", slug: "-" });
  const silent = await client.create(cwd, { model: "claude-haiku-4-5" });
  await machine.stop("SIGKILL");
  await machine.serve();
  client = await machine.connect();
  const restarted = client;
  // A call does not wait for all files to be indexed again.
  const list = await until("the transcript to be indexed", async () => {
    const { sessions } = (await restarted.call("list_sessions", { slug: machine.slug("repo") })) as {
      sessions: Answer[];
    };
    return sessions.some(({ title }) => title === "before the restart") ? sessions : undefined;
  });
  const byId = new Map(list.map((one) => [one["session_id"], one]));
  expect(byId.get(said)).toMatchObject({ status: "idle", title: "before the restart" });
  expect(byId.get(silent)).toMatchObject({ status: "idle" });
  await client.call("send_and_wait", { session_id: said, text: "after it", slug: "-" });
  expect(machine.api.lastOfTurn?.prompts).toEqual(["before the restart", "after it"]);
  await client.call("send_and_wait", { session_id: silent, text: "first words", slug: "-" });
  expect(machine.api.lastOfTurn?.model).toContain("haiku");
  await client[Symbol.asyncDispose]();
});

test("a cursor from before a restart continues with a marked gap", async () => {
  machine = await TestMachine.start({ script: obedient });
  let client = await machine.connect();
  const cursor = await client.now();
  await client[Symbol.asyncDispose]();
  await machine.stop();
  await machine.serve();
  client = await machine.connect();
  expect(await client.poll({ cursor })).toMatchObject({ gap: true });
  expect(await client.refused("poll_events", { cursor: "nonsense" })).toMatchObject({ code: "cursor_invalid" });
  await client[Symbol.asyncDispose]();
});

test("at the limit an idle session loses its process, and a new one is refused only when all are busy", async () => {
  machine = await TestMachine.start({ script: obedient, config: { maxLiveSessions: 2, respondPermission: true } });
  await using client = await machine.connect();
  const { session: busy } = await running(client);
  const cwd = machine.repo("repo");
  const idle = await client.create(cwd);
  await client.create(cwd, { prompt: "bash touch x" });
  const { session } = (await client.call("get_session", { session_id: idle, slug: "-" })) as { session: Answer };
  expect(session["status"]).toBe("idle");
  expect(await client.refused("create_session", { slug: "-", cwd })).toMatchObject({
    code: "too_many_sessions",
    limit: 2,
    retryable: true,
  });
  expect(await client.call("abort_session", { session_id: busy })).toMatchObject({ aborted: true });
  await client.create(cwd);
});

test("a missing Claude Code is reported with what to run, by the tool and by the health check", async () => {
  machine = await TestMachine.start({ config: { claude: "no-such-claude" } });
  await using client = await machine.connect();
  const error = await client.refused("create_session", { slug: "-", cwd: machine.repo("repo") });
  expect(error).toMatchObject({ code: "agent_missing", message: expect.stringContaining("npm install -g") });
  const health = await client.call("get_health_details");
  expect(health).toMatchObject({ ok: false, agent: { version: null } });
  expect(JSON.stringify(health["problems"])).toContain("npm install -g @anthropic-ai/claude-code");
  await until("the warning", () => (machine.output.includes("warning: Claude Code was not found") ? true : undefined));
});

test("a second serve of the same home is refused, and an invalid config is explained", async () => {
  machine = await TestMachine.start({ config: { projects: [] } });
  expect(await machine.codez("serve")).toMatchObject({ code: 17, stderr: expect.stringContaining("already runs") });
  await until(
    "the warning that nothing can be started",
    () => machine.output.includes("no project is known") || undefined,
  );
  await machine.stop();
  machine.configure({ maxPermissionMode: "yolo", portt: 1 });
  const refused = await machine.codez("serve");
  expect(refused.code).toBe(13);
  expect(refused.stderr).toContain("maxPermissionMode");
  expect(refused.stderr).toContain("portt");
});
