// Root cause: who makes a call was checked when the call was made. One that waits for its machine, up to a week, was delivered although its token
// had been revoked or had expired meanwhile: a thief could leave prompts behind.
import { expect, onTestFinished, test, vi } from "vitest";
import { KEYS_CAPABILITY } from "#protocol/control.ts";
import type { OperatorError } from "#protocol/error.ts";
import { registryOf } from "../../../control-api/src/user/user-rpc.ts";
import { FACTS as MACHINE_FACTS } from "../../control-api/support/facts.ts";
import { env, TestUser } from "../../control-api/support/operator.ts";

const OFFLINE: OperatorError = { code: "machine_offline", machine: "attic", lastSeenMs: null };
const RESULT = { content: [{ type: "text", text: "sent" }], structuredContent: { turn_id: "t-1", status: "taken" } };
const SENT = {
  body: JSON.stringify({ jsonrpc: "2.0", id: "1", result: RESULT }),
  headers: { "content-type": "application/json" },
};
const FACTS = { ...MACHINE_FACTS, capabilities: [KEYS_CAPABILITY] };

async function awayMachine(): Promise<TestUser> {
  const user = new TestUser();
  await user.machine("attic", { fails: OFFLINE });
  await user.report("attic", { epoch: 1, facts: FACTS });
  return user;
}

async function token(maker: TestUser, user: string, more: object = {}): Promise<TestUser & { tokenId: string }> {
  const made = await maker.rest("POST", "/api/tokens", { label: `made-${crypto.randomUUID()}`, ...more });
  const { token: secret, id }: { token: string; id: string } = await made.json();
  return Object.assign(new TestUser(user, secret), { tokenId: id });
}

const queue = async (caller: TestUser, key: string): Promise<void> => {
  const { structuredContent } = await caller.tool("send_prompt", {
    session_id: "attic/s-1",
    text: key,
    key,
    on_offline: "queue",
    ttl_ms: 7 * 24 * 60 * 60_000,
  });
  expect(structuredContent).toMatchObject({ status: "waiting_for_machine" });
};

/** The machine comes back. Answers the keys of what reaches it, in order; the owner's own call is the last that waits. */
async function delivered(user: TestUser): Promise<unknown[]> {
  await queue(user, "the owner's own");
  const before = (await user.reached("attic")).length;
  await user.script("attic", { answers: { "tools/call send_prompt": SENT } });
  await user.report("attic", { epoch: 2, facts: FACTS });
  await expect
    .poll(async () => (await user.json<{ state: string }>("/api/deliveries/the%20owner's%20own")).state)
    .toBe("consumed");
  const calls = (await user.reached("attic")).slice(before).filter(({ path }) => path === "/operator/call");
  return calls.map(({ body }) => JSON.parse(body).params.arguments.key);
}

test("what a token has queued is delivered while it is valid", async () => {
  const user = await awayMachine();
  await queue(await token(user, user.id), "a token's");
  expect(await delivered(user)).toEqual(["a token's", "the owner's own"]);
});

test("what a revoked token has queued is not delivered", async () => {
  const user = await awayMachine();
  const thief = await token(user, user.id);
  await queue(thief, "the thief's");
  expect((await user.rest("DELETE", `/api/tokens/${thief.tokenId}`)).ok).toBe(true);
  // Nor is what it says kept until then.
  const kept = await registryOf(env, user.id).delivery(`token:${thief.tokenId}`, "the thief's");
  expect(kept).toMatchObject({ state: "cancelled" });
  expect(await delivered(user)).toEqual(["the owner's own"]);
});

test("nor is what a token has queued that a revoked one made", async () => {
  const user = await awayMachine();
  const thief = await token(user, user.id, { scopes: ["mcp:tools", "operator:admin", "operator:tokens"] });
  const child = await token(thief, user.id);
  await queue(child, "the child's");
  expect((await user.rest("DELETE", `/api/tokens/${thief.tokenId}`)).ok).toBe(true);
  expect(await delivered(user)).toEqual(["the owner's own"]);
});

test("nor is what a token has queued that has expired", async () => {
  const user = await awayMachine();
  const thief = await token(user, user.id, { expiresMs: Date.now() + 60 * 60_000 });
  await queue(thief, "the thief's");
  vi.useFakeTimers({ toFake: ["Date"], now: Date.now() + 2 * 60 * 60_000 });
  onTestFinished(() => void vi.useRealTimers());
  expect(await delivered(user)).toEqual(["the owner's own"]);
});

test("nor is what an app has queued whose grant was revoked, or what anybody has when the account is claimed anew", async () => {
  const user = await awayMachine();
  const object = registryOf(env, user.id);
  const call = {
    machine: "attic",
    tool: "send_prompt",
    digest: "",
    session: null,
    args: "{}",
    isQueued: true,
    queueMs: 60 * 60_000,
  };
  await object.send({ ...call, scope: "grant:one", key: "the app's" });
  await env.USER.getByName(user.id).endGrant("one");
  expect(await object.delivery("grant:one", "the app's")).toMatchObject({ state: "cancelled" });
  await object.send({ ...call, scope: "grant:former", key: "an app's that was allowed again" });
  await env.USER.getByName(user.id).replaceGrant("former", "new");
  expect(await object.delivery("grant:new", "an app's that was allowed again")).toMatchObject({ state: "accepted" });
  await env.USER.getByName(user.id).endGrant("new");
  expect(await object.delivery("grant:new", "an app's that was allowed again")).toMatchObject({ state: "cancelled" });
  await object.send({ ...call, scope: "grant:two", key: "the other app's" });
  await env.USER.getByName(user.id).endAccess();
  expect(await object.delivery("grant:two", "the other app's")).toMatchObject({ state: "cancelled" });
  expect(await delivered(user)).toEqual(["the owner's own"]);
});

test("a narrow token learns nothing of its calls to a computer that does not have the name any more", async () => {
  const user = await awayMachine();
  const narrow = await token(user, user.id, { machines: ["attic"] });
  await queue(narrow, "mine");
  const seen = async (): Promise<unknown[]> => [
    (await narrow.rest("GET", "/api/deliveries/mine")).status,
    (await narrow.json<{ deliveries: unknown[] }>("/api/deliveries")).deliveries.length,
    (await narrow.tool("get_delivery", { key: "mine" })).isError ?? false,
    (await narrow.rest("DELETE", "/api/deliveries/mine")).status,
  ];
  expect((await user.register("attic", { identity: "identity-of-another", replace: true })).ok).toBe(true);
  expect(await seen()).toEqual([404, 0, true, 404]);
});

test("a narrow token for the computer that has the name now hears nothing of the calls to the former one", async () => {
  const user = await awayMachine();
  await user.logs("attic", [{ type: "message" }]);
  await user.script("attic", { fails: OFFLINE });
  await queue(user, "for-the-former");
  await user.register("attic", { identity: "identity-of-another", replace: true });
  const narrow = await token(user, user.id, { machines: ["attic"] });
  await user.logs("attic", [{ type: "message" }, { type: "message" }]);
  await user.report("attic", { epoch: 2, facts: FACTS, position: { epoch: "e", seq: 3 } });
  const told = async (reader: TestUser) =>
    JSON.stringify((await reader.tool("poll_events", { timeout_ms: 0 })).structuredContent);
  await expect.poll(() => told(user)).toContain("delivery.failed");
  expect(await told(narrow)).toContain('"seq":2');
  expect(await told(narrow)).not.toContain("for-the-former");
});

test("a computer that has the name now cannot say that the agent of the former one has taken a prompt", async () => {
  const user = await awayMachine();
  const result = { content: [], structuredContent: { turn_id: "t-1", status: "running" } };
  const body = JSON.stringify({ jsonrpc: "2.0", id: "1", result });
  await user.script("attic", { answers: { "tools/call send_prompt": { ...SENT, body } } });
  await user.tool("send_prompt", { session_id: "attic/s-1", text: "x", key: "mine" });
  const state = async () => (await user.json<{ state: string }>("/api/deliveries/mine")).state;
  expect(await state()).toBe("delivered");
  await user.register("attic", { identity: "identity-of-another", replace: true });
  await user.logs("attic", [{ type: "turn.started", session: "s-1", data: { turn_id: "t-1" } }]);
  expect(await state()).toBe("delivered");
});

test("a call is its client's alone: another token of the same person neither sees it nor meets its key", async () => {
  const user = await awayMachine();
  const [one, other] = [await token(user, user.id), await token(user, user.id)];
  await queue(one, "mine");
  expect((await other.rest("GET", "/api/deliveries/mine")).status).toBe(404);
  expect((await other.rest("DELETE", "/api/deliveries/mine")).status).toBe(404);
  expect(await other.json("/api/deliveries")).toEqual({ deliveries: [] });
  const sent = { session_id: "attic/s-1", text: "something else", key: "mine", on_offline: "queue" };
  expect((await other.tool("send_prompt", sent)).structuredContent).toMatchObject({ status: "waiting_for_machine" });
  expect(await one.json("/api/deliveries/mine")).toMatchObject({ state: "accepted" });
});
