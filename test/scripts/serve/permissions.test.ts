import { existsSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { obedient, TestMachine, until, type Answer, type TestClient } from "./support/machine.ts";

let machine: TestMachine;
let client: TestClient;

beforeAll(async () => {
  machine = await TestMachine.start({ script: obedient });
  client = await machine.connect();
});
afterAll(async () => {
  await client[Symbol.asyncDispose]();
  await machine[Symbol.asyncDispose]();
});

/** A session whose turn waits for leave to make a file. */
async function asking(file: string): Promise<{ session: string; request: string; cursor: string; path: string }> {
  const cwd = machine.repo("repo");
  const cursor = await client.now();
  const session = await client.create(cwd, { prompt: `bash touch ${file}` });
  const events = await client.eventsUntil((event) => event["type"] === "permission.requested", cursor, session);
  return { session, request: String(events.at(-1)?.["request_id"]), cursor, path: join(cwd, file) };
}

async function isIdle(session: string, cursor: string): Promise<Answer[]> {
  return client.eventsUntil((event) => event["type"] === "session.idle", cursor, session);
}

test("a request says what is asked, where and for how long, and outlives its poller", async () => {
  const { session, request } = await asking("listed.txt");
  await using other = await machine.connect({}, "another");
  const { pending_permissions: pending } = await other.call("get_session", { session_id: session, slug: "-" });
  expect(pending).toEqual([
    expect.objectContaining({
      request_id: request,
      session_id: session,
      cwd: machine.repo("repo"),
      tool: "Bash",
      input: expect.objectContaining({ command: "touch listed.txt" }),
      age_ms: expect.any(Number),
      settled: null,
    }),
  ]);
  await client.call("dispose_session", { session_id: session });
});

test("a client cannot approve its own session's request, and is told who can and how", async () => {
  const { session, request, path } = await asking("approved-by-model.txt");
  const error = await client.refused("respond_permission", {
    session_id: session,
    request_id: request,
    behavior: "allow",
  });
  expect(error["code"]).toBe("approval_is_local");
  expect(error["message"]).toContain(`codez permissions allow ${request}`);
  expect(error["message"]).toContain(join(machine.home, ".codez", "serve.json"));
  expect(existsSync(path)).toBe(false);
  await client.call("dispose_session", { session_id: session });
});

test("somebody at the machine allows it: the tool runs, once; the same answer again is fine, another is told who was first", async () => {
  const { session, request, cursor, path } = await asking("allowed.txt");
  const listed = await machine.codez("permissions");
  expect(listed.stdout).toContain(request);
  expect(listed.stdout).toContain("touch allowed.txt");
  expect(await machine.codez("permissions", "allow", request.slice(0, 8))).toMatchObject({ code: 0 });
  const events = await isIdle(session, cursor);
  expect(existsSync(path)).toBe(true);
  expect(events).toContainEqual(
    expect.objectContaining({
      type: "permission.resolved",
      request_id: request,
      behavior: "allow",
      settled_by: "machine",
    }),
  );
  expect(events).toContainEqual(expect.objectContaining({ type: "tool.finished", tool: "Bash", is_error: false }));
  expect(await machine.codez("permissions", "allow", request)).toMatchObject({ code: 0 });
  const late = await machine.codez("permissions", "deny", request);
  expect(late.code).toBe(19);
  expect(late.stderr).toContain("already settled: allow, by machine");
});

test("somebody at the machine denies it: the tool does not run and the model reads why", async () => {
  const { session, request, cursor, path } = await asking("denied.txt");
  expect(await machine.codez("permissions", "deny", request, "--reason", "not on a Friday")).toMatchObject({ code: 0 });
  const events = await isIdle(session, cursor);
  expect(existsSync(path)).toBe(false);
  expect(events.at(-1)?.["result"]).toContain("not on a Friday");
});

describe("with approval from afar turned on in the machine's config", () => {
  test("for one project a client may answer, in another it may not; no restart is needed", async () => {
    machine.repo("toy");
    machine.configure({ respondPermission: ["~/src/toy"] });
    const elsewhere = await asking("elsewhere.txt");
    const answer = { session_id: elsewhere.session, request_id: elsewhere.request, behavior: "allow" };
    expect(await client.refused("respond_permission", answer)).toMatchObject({ code: "approval_is_local" });

    const cursor = await client.now();
    const toy = machine.repo("toy");
    const session = await client.create(toy, { prompt: "bash touch from-afar.txt" });
    const events = await client.eventsUntil((event) => event["type"] === "permission.requested", cursor, session);
    const request = String(events.at(-1)?.["request_id"]);
    const own = { session_id: session, request_id: request };
    // A request of one session can't be answered by way of another.
    expect(
      await client.refused("respond_permission", { ...own, session_id: elsewhere.session, behavior: "allow" }),
    ).toMatchObject({ code: "request_unknown" });
    expect(await client.call("respond_permission", { ...own, behavior: "allow" })).toMatchObject({
      settled: { behavior: "allow", by: "client" },
      already_settled: false,
    });
    await isIdle(session, cursor);
    expect(existsSync(join(toy, "from-afar.txt"))).toBe(true);
    expect(await client.call("respond_permission", { ...own, behavior: "allow" })).toMatchObject({
      already_settled: true,
    });
    expect(await client.refused("respond_permission", { ...own, behavior: "deny" })).toMatchObject({
      code: "request_settled",
      decision: "allow",
    });
    machine.configure({});
    await client.call("dispose_session", { session_id: elsewhere.session });
  });
});

test("a request that nobody answers is denied when its time is up, with the reason", async () => {
  machine.configure({ permissionTimeoutMinutes: 0.001 });
  const { session, cursor, path } = await asking("expired.txt");
  const events = await isIdle(session, cursor);
  machine.configure({});
  expect(events).toContainEqual(
    expect.objectContaining({ type: "permission.resolved", behavior: "deny", settled_by: "expiry" }),
  );
  expect(events.at(-1)?.["result"]).toContain("nobody answered");
  expect(existsSync(path)).toBe(false);
});

test("an aborted turn takes its request along", async () => {
  const { session, request, cursor } = await asking("aborted.txt");
  expect(await client.call("abort_session", { session_id: session })).toMatchObject({ aborted: true });
  const events = await isIdle(session, cursor);
  expect(events).toContainEqual(
    expect.objectContaining({ request_id: request, settled_by: "agent", behavior: "deny" }),
  );
  expect(events.at(-1)).toMatchObject({ outcome: "interrupted" });
  const late = await machine.codez("permissions", "allow", request);
  expect(late.code).toBe(19);
  expect(late.stderr).toContain("already settled");
});

test("a restart closes what was open, tells a late answer so, and keeps who settled what", async () => {
  const settled = await asking("settled-before.txt");
  await machine.codez("permissions", "deny", settled.request);
  const open = await asking("open-before.txt");
  await client[Symbol.asyncDispose]();
  await machine.stop("SIGKILL");
  await machine.serve();
  client = await machine.connect();
  const late = await machine.codez("permissions", "allow", open.request);
  expect(late.stderr).toContain("by restart");
  expect((await machine.codez("permissions", "allow", settled.request)).stderr).toContain("deny, by machine");
  expect((await machine.codez("permissions")).stdout).toContain("No session waits");
  expect(existsSync(open.path)).toBe(false);
});

test("without a running serve the command says so with an exit code of its own", async () => {
  await client[Symbol.asyncDispose]();
  await machine.stop();
  expect(await machine.codez("permissions")).toMatchObject({
    code: 16,
    stderr: expect.stringContaining("codez serve"),
  });
  await machine.serve();
  client = await machine.connect();
  await until("permissions to be listed", async () =>
    (await machine.codez("permissions")).code === 0 ? true : undefined,
  );
});
