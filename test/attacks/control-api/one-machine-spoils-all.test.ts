// Root cause: strings, lists and answers of a machine had no limit, so one machine made the answers about all machines large, and used up
// the memory that it shares with them: that of an isolate, and of its owner's one object.
import { runInDurableObject } from "cloudflare:test";
import { beforeEach, expect, test } from "vitest";
import { KEYS_CAPABILITY } from "#protocol/control.ts";
import { asked, taken } from "../../control-api/inbox/support/asking.ts";
import { FACTS as MACHINE_FACTS } from "../../control-api/support/facts.ts";
import { env, failureOf, TestUser } from "../../control-api/support/operator.ts";

const FACTS = { ...MACHINE_FACTS, capabilities: [KEYS_CAPABILITY] };

const MB = 1024 * 1024;
const JSON_TYPE = { "content-type": "application/json" };

let user: TestUser;
beforeEach(async () => {
  user = new TestUser();
  await user.machine("attic");
  await user.machine("cellar");
});

/** Whether the other machine is as it always is. */
async function cellarWorks(): Promise<void> {
  const called = await user.tool("list_projects", { machineId: "cellar" });
  expect(failureOf(called)).toBeUndefined();
}

/** What there is already, without waiting for more. */
const poll = (more: object = {}) => user.tool("poll_events", { timeout_ms: 0, ...more });

test("huge facts make the list of machines little longer", async () => {
  const text = "x".repeat(90_000);
  const repos = Array.from({ length: 100 }, (_, index) => ({ path: `/p/${index}/${"y".repeat(3_000)}` }));
  await user.report("attic", { facts: { ...FACTS, hostname: text, os: text, repos, capabilities: [text] } });
  const listed = await user.tool("list_machines");
  expect(JSON.stringify(listed).length).toBeLessThan(100_000);
  expect(JSON.stringify(listed)).toContain("cellar");
  await cellarWorks();
});

test("huge ids of sessions do not make what others read larger", async () => {
  await user.logs("cellar", [{ type: "session.created", session: "quiet", data: { title: "mine" } }]);
  const session = "s".repeat(400_000);
  const events = [{ seq: 1, atMs: 1, type: "session.created", session, data: { title: "t".repeat(50_000) } }];
  const position = { epoch: "e", seq: 1 };
  await user.report("attic", { position }, undefined, {
    push: { after: 0, events, position, gap: false, more: false },
  });
  expect(JSON.stringify(await poll()).length).toBeLessThan(200_000);
  expect(JSON.stringify(await user.tool("list_sessions")).length).toBeLessThan(20_000);
  expect(JSON.stringify(await user.tool("list_sessions", { machineId: "cellar" }))).toContain("quiet");
});

test("an answer of any size at /mcp is cut off at its limit, with an error that says what to do", async () => {
  // It stays open behind these: whoever waits for its end would wait indefinitely.
  const body = `{"jsonrpc":"2.0","id":1,"result":{"x":"${"x".repeat(9 * MB)}`;
  await user.script("attic", {
    answers: { "tools/call list_projects": { body, headers: JSON_TYPE, isEndless: true } },
  });
  const cut = await user.tool("list_projects", { machineId: "attic" });
  expect(failureOf(cut)).toBe("answer_too_large");
  expect(cut.content[0]?.text).toContain("/mcp");
  await cellarWorks();
});

test("an answer to a call of Operator's own is not read beyond its limit, since one object reads those of all machines", async () => {
  await user.logs("attic", [asked("r-1")]);
  const huge = "x".repeat(3 * MB);
  const result = { structuredContent: { turn_id: "t-1", status: "running", more: huge }, content: [] };
  await user.report("attic", { epoch: 2, facts: FACTS, position: { epoch: "e", seq: 1 } });
  await user.script("attic", {
    answers: {
      "POST /operator/decide": taken("allow", { reason: huge }),
      "tools/call send_prompt": { body: JSON.stringify({ jsonrpc: "2.0", id: "1", result }), headers: JSON_TYPE },
    },
  });
  const { pending } = await user.json<{ pending: { id: number }[] }>("/api/inbox");
  const decided = await env.USER.getByName(user.id).decide(
    pending[0]?.id ?? 0,
    { behavior: "allow" },
    { via: "page", name: "Ann" },
  );
  expect(decided).toMatchObject({ item: { settled: null } });
  await user.tool("send_prompt", { session_id: "attic/s-1", text: "hello", key: "key-12345678" });
  expect(await user.json("/api/deliveries/key-12345678")).not.toMatchObject({ state: "delivered" });
  await cellarWorks();
});

test("a turn's id of any size takes no room beside the answer, and leaves no call stuck in the middle of its attempt", async () => {
  const result = { structuredContent: { turn_id: "t".repeat(1_900_000), status: "running" }, content: [] };
  const body = JSON.stringify({ jsonrpc: "2.0", id: "1", result });
  await user.script("attic", { answers: { "tools/call send_prompt": { body, headers: JSON_TYPE } } });
  const text = "x".repeat(900_000);
  await user.tool("send_prompt", { session_id: "attic/s-1", text, key: "key-1" }).catch(() => undefined);
  expect(await user.json("/api/deliveries/key-1")).toMatchObject({ state: "delivered" });
  const rows = await runInDurableObject(env.USER.getByName(user.id), (_, { storage: { sql } }) =>
    sql.exec("SELECT trying, octet_length(turn) AS turn FROM delivery").toArray(),
  );
  expect(rows).toEqual([{ trying: 0, turn: 200 }]);
});

test("a time that no date can be spoils neither the search over all machines nor the error that names it", async () => {
  const offline = { code: -32_000, message: "away", data: { code: "machine_offline", lastSeenMs: 9e15 } };
  const body = JSON.stringify({ jsonrpc: "2.0", id: "1", error: offline });
  const found = { content: [], structuredContent: { sessions: [{ session_id: "s-1", title: "mine" }] } };
  const other = JSON.stringify({ jsonrpc: "2.0", id: "1", result: found });
  await user.script("attic", { answers: { "tools/call search_sessions": { body, headers: JSON_TYPE } } });
  await user.script("cellar", { answers: { "tools/call search_sessions": { body: other, headers: JSON_TYPE } } });
  for (const name of ["attic", "cellar"]) await user.report(name, { online: true });
  const searched = await user.tool("search_sessions", { query: "mine" });
  expect(searched.structuredContent).toMatchObject({
    sessions: [{ session_id: "cellar/s-1" }],
    unanswered: [{ machine: "attic", code: "machine_offline" }],
  });
  expect(failureOf(await user.tool("search_sessions", { query: "mine", machineId: "attic" }))).toBe("machine_offline");
});

test("a storm of events pushes out nobody else's", async () => {
  await user.logs("cellar", [{ type: "session.created", session: "quiet", data: { title: "mine" } }]);
  const storm = Array.from({ length: 1_500 }, () => ({
    type: "message",
    session: "loud",
    data: { text: "x".repeat(400) },
  }));
  await user.logs("attic", storm);
  expect(JSON.stringify(await poll({ machineId: "cellar" }))).toContain("quiet");
  expect(JSON.stringify(await poll()).length).toBeLessThan(MB);
});

test("a flood of requests fills neither the inbox's answers nor what others ask", async () => {
  await user.logs("cellar", [asked("quiet")]);
  const flood = Array.from({ length: 60 }, (_, index) =>
    asked(`loud-${index}`, { input: { text: "x".repeat(40_000) } }),
  );
  await user.logs("attic", flood, { pageRows: 15 });
  const first = await user.tool("list_pending");
  expect(JSON.stringify(first).length).toBeLessThan(MB);
  const own = await user.tool("list_pending", { machineId: "cellar" });
  expect(JSON.stringify(own)).toContain("quiet");
  expect(await env.USER.getByName(user.id).inboxCount()).toBe(61);
});
