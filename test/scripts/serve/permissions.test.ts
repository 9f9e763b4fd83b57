import { existsSync, readFileSync, rmSync } from "node:fs";
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

test("a request states its action, place and time limit, and survives its poller", async () => {
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

test("when a person at the machine allows it, the tool runs once; a repeated answer is accepted, and another is told who was first", async () => {
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

/** What the connector passes on of a decision that a person made on a page. */
async function decide(decision: Record<string, unknown>): Promise<Record<string, unknown>> {
  const { token } = JSON.parse(readFileSync(join(machine.home, ".codez", "serve", "running.json"), "utf8"));
  const response = await fetch(new URL("/local/permissions", machine.url), {
    method: "POST",
    headers: { authorization: `Bearer ${token}` },
    body: JSON.stringify({ by: "Ann", ...decision }),
  });
  return (await response.json()) as Record<string, unknown>;
}

test("what a person allows for the session is not asked again in it, and nothing else is allowed by that", async () => {
  const cwd = machine.repo("repo");
  const { session, request, cursor, path } = await asking("for-session-1.txt");
  const { pending_permissions: pending } = await client.call("get_session", { session_id: session, slug: "-" });
  const [{ session_rules: rules }] = pending as [{ session_rules: string[] }];
  expect(rules).toEqual([expect.stringMatching(/^Bash\(touch/)]);
  expect(await decide({ request, behavior: "allow", forSession: true })).toMatchObject({ already_settled: false });
  await isIdle(session, cursor);
  // What the rule says runs without a question.
  rmSync(path);
  let after = await client.now();
  await client.call("send_prompt", { session_id: session, text: "bash touch for-session-1.txt" });
  const events = await isIdle(session, after);
  expect(existsSync(path)).toBe(true);
  expect(events.filter(({ type }) => type === "permission.requested")).toEqual([]);
  // Another command of the same tool is asked for, also if it is appended to one that is allowed.
  for (const command of ["mkdir not-allowed", "touch for-session-1.txt && mkdir not-allowed"]) {
    after = await client.now();
    await client.call("send_prompt", { session_id: session, text: `bash ${command}` });
    const asked = await client.eventsUntil((event) => event["type"] === "permission.requested", after, session);
    await decide({ request: asked.at(-1)?.["request_id"], behavior: "deny" });
    await isIdle(session, after);
  }
  expect(existsSync(join(cwd, "not-allowed"))).toBe(false);
  // Another session is asked again, and no settings file has the rule.
  rmSync(path);
  const other = await asking("for-session-1.txt");
  expect(existsSync(path)).toBe(false);
  expect(existsSync(join(cwd, ".claude", "settings.local.json"))).toBe(false);
  await decide({ request: other.request, behavior: "deny" });
});

test("when a person at the machine denies it, the tool does not run and the model reads why", async () => {
  const { session, request, cursor, path } = await asking("denied.txt");
  expect(await machine.codez("permissions", "deny", request, "--reason", "not on a Friday")).toMatchObject({ code: 0 });
  const events = await isIdle(session, cursor);
  expect(existsSync(path)).toBe(false);
  expect(events.at(-1)?.["result"]).toContain("not on a Friday");
});

describe("with remote approval turned on", () => {
  test("a client may answer for one project and not for another, without a restart", async () => {
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

test("an unanswered request is denied when its time is up, with the reason", async () => {
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

test("an aborted turn removes its request", async () => {
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

test("a restart closes open requests, tells late answers so, and remembers who settled which", async () => {
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

test("without a running serve the command says so with its own exit code", async () => {
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

describe("a question of the agent", () => {
  const QUESTIONS = [
    {
      question: "Which database?",
      header: "Database",
      multiSelect: false,
      options: [
        { label: "SQLite", description: "one file" },
        { label: "Postgres", description: "a server" },
      ],
    },
  ];

  /** A session whose turn waits for the answer to a question. */
  async function questioning(): Promise<{ session: string; request: string; cursor: string }> {
    machine.api.script(({ results }) =>
      results.length === 0
        ? { blocks: [{ tool: "AskUserQuestion", input: { questions: QUESTIONS } }] }
        : { blocks: [{ text: `Answered: ${results.map(({ text }) => text).join(" | ")}` }] },
    );
    const cursor = await client.now();
    const session = await client.create(machine.repo("repo"), { prompt: "ask me" });
    const events = await client.eventsUntil((event) => event["type"] === "question.asked", cursor, session);
    expect(events.at(-1)).toMatchObject({ kind: "question", questions: QUESTIONS, is_whole: true });
    return { session, request: String(events.at(-1)?.["request_id"]), cursor };
  }

  test("reaches the person with its options, and the agent gets the answer", async () => {
    const { session, request, cursor } = await questioning();
    expect(
      await client.refused("respond_permission", { session_id: session, request_id: request, behavior: "allow" }),
    ).toMatchObject({ code: "approval_is_local" });
    const listed = await machine.codez("inbox");
    expect(listed.stdout).toMatch(/Which database\?\n +1\. SQLite: one file\n +2\. Postgres: a server/);
    expect((await machine.codez("permissions", "allow", request)).stderr).toContain("needs answers");
    expect((await machine.codez("permissions", "answer", request, "1", "2")).stderr).toContain("1 answers");
    expect(await machine.codez("permissions", "answer", request, "2")).toMatchObject({ code: 0 });
    const events = await isIdle(session, cursor);
    expect(events).toContainEqual(
      expect.objectContaining({
        type: "question.answered",
        behavior: "allow",
        answers: { "Which database?": "Postgres" },
      }),
    );
    expect(events.at(-1)?.["result"]).toContain("Postgres");
    machine.api.script(obedient);
  });

  test("ends a send_and_wait at once, with what is asked", async () => {
    const { session, request, cursor } = await questioning();
    const waited = await client.call("send_and_wait", { session_id: session, text: "and then?", timeout_ms: 600_000 });
    expect(waited).toMatchObject({
      status: "waiting",
      permission_requests: [expect.objectContaining({ request_id: request, kind: "question" })],
    });
    expect(await client.call("list_pending", { session_id: session })).toMatchObject({
      pending: [{ request_id: request }],
    });
    machine.api.script(obedient);
    expect(await machine.codez("permissions", "deny", request, "--reason", "decide yourself")).toMatchObject({
      code: 0,
    });
    expect((await isIdle(session, cursor)).at(-1)).toMatchObject({ outcome: "done" });
  });
});

test("a plan waits for approval with its whole text, and is sent back with a reason", async () => {
  const plan = "# Plan\n\n1. Delete nothing.\n2. Add a test.";
  // Claude Code tells the model in which file it wants the plan.
  machine.api.script(({ results, body }) => {
    const [file = ""] = /[^\s"`\\]+\/plans\/[\w-]+\.md/.exec(JSON.stringify(body)) ?? [];
    if (results.length === 0) return { blocks: [{ tool: "Write", input: { file_path: file, content: plan } }] };
    const allowedPrompts = [{ tool: "Bash", prompt: "delete the new one" }];
    if (results.length === 1) return { blocks: [{ tool: "ExitPlanMode", input: { allowedPrompts } }] };
    return { blocks: [{ text: `Read: ${results.map(({ text }) => text).join(" | ")}` }] };
  });
  const cursor = await client.now();
  const session = await client.create(machine.repo("repo"), { prompt: "plan it", permission_mode: "plan" });
  const events = await client.eventsUntil((event) => event["type"] === "plan.proposed", cursor, session);
  const request = String(events.at(-1)?.["request_id"]);
  expect(events.at(-1)).toMatchObject({
    kind: "plan",
    is_whole: true,
    plan: expect.stringContaining("Delete nothing"),
  });
  const { stdout } = await machine.codez("permissions");
  expect(stdout).toContain("  1. Delete nothing.\n");
  // Its approval allows these as well.
  expect(stdout).toContain(`"prompt": "delete the new one"`);
  await machine.codez("permissions", "deny", request, "--reason", "delete the old one too");
  expect((await isIdle(session, cursor)).at(-1)?.["result"]).toContain("delete the old one too");
  machine.api.script(obedient);
});
