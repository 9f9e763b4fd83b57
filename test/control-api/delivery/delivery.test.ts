import { beforeEach, describe, expect, it } from "vitest";
import { KEYS_CAPABILITY } from "#protocol/control.ts";
import type { OperatorError } from "#protocol/error.ts";
import { FACTS as MACHINE_FACTS } from "../support/facts.ts";
import { failureOf, TestUser, type ToolResult } from "../support/operator.ts";

const FACTS = { ...MACHINE_FACTS, capabilities: [KEYS_CAPABILITY] };

const OFFLINE: OperatorError = { code: "machine_offline", machine: "attic", lastSeenMs: null };

/** What `codez serve` answers to send_prompt. */
function answer(structured: object): { body: string; headers: Record<string, string> } {
  const result = { content: [{ type: "text", text: JSON.stringify(structured) }], structuredContent: structured };
  return { body: JSON.stringify({ jsonrpc: "2.0", id: "1", result }), headers: { "content-type": "application/json" } };
}

const SENT = answer({ session_id: "s-1", turn_id: "t-1", status: "running", queue_length: 0 });
const PROMPT = { session_id: "attic/s-1", text: "Fix the tests" };

describe("a call with a key", () => {
  let user: TestUser;
  let seq = 0;
  beforeEach(async () => {
    user = new TestUser();
    seq = 0;
    await user.machine("attic");
    await online(["attic"]);
  });

  /** The machines report that they are there, with a new link. */
  async function online(names: string[], capabilities = FACTS.capabilities): Promise<void> {
    seq += 1;
    for (const name of names)
      await user.report(name, { epoch: seq, facts: { ...FACTS, capabilities }, position: { epoch: "e", seq: 0 } });
  }

  async function attempts(machine = "attic"): Promise<Record<string, unknown>[]> {
    const reached = await user.reached(machine);
    return reached.flatMap(({ path, body }) => (path === "/operator/call" ? [JSON.parse(body).params] : []));
  }

  async function state(key: string): Promise<Record<string, unknown>> {
    return user.json(`/api/deliveries/${key}`);
  }

  function send(args: object): Promise<ToolResult> {
    return user.tool("send_prompt", { ...PROMPT, ...args });
  }

  const told = async (type: string): Promise<Record<string, unknown>[]> => {
    const { structuredContent } = await user.tool("poll_events", { type, timeout_ms: 0, machineId: "attic" });
    return (structuredContent as { events: Record<string, unknown>[] }).events;
  };

  it("is answered by the machine's own result, with what is known of its delivery", async () => {
    await user.script("attic", { answers: { "tools/call send_prompt": SENT } });
    const { structuredContent } = await send({ key: "k-1" });
    expect(structuredContent).toMatchObject({
      session_id: "attic/s-1",
      turn_id: "t-1",
      delivery: {
        key: "k-1",
        state: "delivered",
        accepted_at_ms: expect.any(Number),
        delivered_at_ms: expect.any(Number),
        consumed_at_ms: null,
      },
    });
    expect(await attempts()).toEqual([
      { name: "send_prompt", arguments: { session_id: "s-1", text: "Fix the tests", key: "k-1" } },
    ]);
  });

  it("reaches the machine once, however often it is repeated, and its key is good for nothing else", async () => {
    await user.script("attic", { answers: { "tools/call send_prompt": SENT } });
    const all = await Promise.all([send({ key: "k-1" }), send({ key: "k-1" }), send({ key: "k-1" })]);
    expect(all.map(({ structuredContent }) => structuredContent?.["turn_id"])).toEqual(["t-1", "t-1", "t-1"]);
    expect(failureOf(await send({ key: "k-1", text: "Something else" }))).toBe("key_reused");
    expect(await attempts()).toHaveLength(1);
  });

  it("counts as consumed only when the agent says that it has taken the prompt", async () => {
    await user.script("attic", { answers: { "tools/call send_prompt": SENT } });
    await send({ key: "k-1" });
    expect(await state("k-1")).toMatchObject({ state: "delivered" });
    await user.logs("attic", [{ type: "turn.started", session: "s-1", data: { turn_id: "t-other" } }]);
    expect(await state("k-1")).toMatchObject({ state: "delivered" });
    await user.logs("attic", [
      { type: "turn.started", session: "s-1", data: { turn_id: "t-other" } },
      { type: "turn.started", session: "s-1", data: { turn_id: "t-1" } },
    ]);
    expect(await state("k-1")).toMatchObject({ state: "consumed", consumed_at_ms: expect.any(Number) });
  });

  it("fails at once when its machine is away, by default, and may be repeated", async () => {
    await user.script("attic", { fails: OFFLINE });
    expect(failureOf(await send({ key: "k-1" }))).toBe("machine_offline");
    expect(await state("k-1")).toMatchObject({
      state: "accepted",
      delivered_at_ms: null,
      last_error: { code: "machine_offline" },
    });
    await user.script("attic", { answers: { "tools/call send_prompt": SENT } });
    await online(["attic"]);
    expect(await state("k-1")).toMatchObject({ state: "accepted" });
    expect((await send({ key: "k-1" })).structuredContent).toMatchObject({ delivery: { state: "delivered" } });
  });

  it("waits for its machine if its caller wants that, in order, and an event tells when it was delivered", async () => {
    await user.logs("attic", [{ type: "session.created", session: "s-1", data: {} }]);
    await user.script("attic", { fails: OFFLINE });
    const first = await send({ key: "k-1", on_offline: "queue" });
    expect(first.isError).toBeUndefined();
    expect(first.structuredContent).toMatchObject({
      status: "waiting_for_machine",
      delivery: { state: "accepted", delivered_at_ms: null },
    });
    await send({ key: "k-2", text: "and then this", on_offline: "queue" });
    const before = (await attempts()).length;
    await user.script("attic", { answers: { "tools/call send_prompt": SENT } });
    await user.report("attic", { epoch: 9, facts: FACTS, position: { epoch: "e", seq: 1 } });
    await expect.poll(() => state("k-2")).toMatchObject({ state: "delivered" });
    const arrived = (await attempts()).slice(before).map((one) => (one["arguments"] as { text: string }).text);
    expect(arrived).toEqual(["Fix the tests", "and then this"]);
    expect(await told("delivery.*")).toMatchObject([
      { type: "delivery.delivered", session: "attic/s-1", data: { key: "k-1", turn_id: "t-1" } },
      { type: "delivery.delivered", data: { key: "k-2" } },
    ]);
  });

  it("is cancelled while it waits, and not after", async () => {
    await user.logs("attic", [{ type: "session.created", session: "s-1", data: {} }]);
    await user.script("attic", { fails: OFFLINE });
    await send({ key: "k-1", on_offline: "queue" });
    expect((await user.tool("get_delivery", { key: "k-1", cancel: true })).structuredContent).toMatchObject({
      cancelled: true,
      delivery: { state: "cancelled" },
    });
    const before = (await attempts()).length;
    await user.script("attic", { answers: { "tools/call send_prompt": SENT } });
    await online(["attic"]);
    await send({ key: "k-2", on_offline: "queue" });
    expect((await attempts()).slice(before).map((one) => (one["arguments"] as { key: string }).key)).toEqual(["k-2"]);
    const late = await user.rest("DELETE", "/api/deliveries/k-2");
    expect(await late.json()).toMatchObject({ cancelled: false, delivery: { state: "delivered" } });
    expect(failureOf(await send({ key: "k-1", on_offline: "queue" }))).toBe("machine_failed");
    expect(await told("delivery.cancelled")).toMatchObject([{ session: "attic/s-1", data: { key: "k-1" } }]);
  });

  it("expires with its time to live, and is not delivered after that", async () => {
    await user.logs("attic", [{ type: "session.created", session: "s-1", data: {} }]);
    await user.script("attic", { fails: OFFLINE });
    await send({ key: "k-1", on_offline: "queue", ttl_ms: 1 });
    const before = (await attempts()).length;
    await user.script("attic", { answers: { "tools/call send_prompt": SENT } });
    await online(["attic"]);
    await expect.poll(() => state("k-1")).toMatchObject({ state: "expired" });
    expect((await attempts()).slice(before)).toEqual([]);
    expect(await told("delivery.expired")).toMatchObject([{ session: "attic/s-1", data: { key: "k-1" } }]);
  });

  it("is attempted again after an answer was lost, with the same key, only where the machine knows keys", async () => {
    await user.script("attic", { fails: { code: "link_lost", machine: "attic" } });
    await send({ key: "k-1", on_offline: "queue" });
    expect(await state("k-1")).toMatchObject({ state: "accepted", may_have_run: true });
    await user.script("attic", { answers: { "tools/call send_prompt": answer({ turn_id: "t-1", status: "taken" }) } });
    await online(["attic"]);
    await expect.poll(() => state("k-1")).toMatchObject({ state: "consumed" });
    expect(new Set((await attempts()).map((one) => (one["arguments"] as { key: string }).key))).toEqual(
      new Set(["k-1"]),
    );

    await user.machine("cellar");
    await online(["cellar"], []);
    await user.script("cellar", { fails: { code: "link_lost", machine: "cellar" } });
    const result = await user.tool("send_prompt", {
      ...PROMPT,
      session_id: "cellar/s-1",
      key: "k-2",
      on_offline: "queue",
    });
    expect(failureOf(result)).toBe("link_lost");
    expect(await state("k-2")).toMatchObject({ state: "failed", may_have_run: true });
    await user.script("cellar", { answers: { "tools/call send_prompt": SENT } });
    await online(["cellar"], []);
    expect(await attempts("cellar")).toHaveLength(1);
  });

  it("is refused for good where the machine refuses it, in the machine's own words", async () => {
    const error = { code: "project_not_allowed", message: "Not there.", retryable: false };
    const result = {
      isError: true,
      content: [{ type: "text", text: "project_not_allowed: Not there." }],
      structuredContent: { error },
    };
    const body = JSON.stringify({ jsonrpc: "2.0", id: "1", result });
    await user.script("attic", {
      answers: { "tools/call create_session": { body, headers: { "content-type": "application/json" } } },
    });
    const made = await user.tool("create_session", {
      machineId: "attic",
      slug: "api",
      key: "k-1",
      on_offline: "queue",
    });
    expect([made.isError, failureOf(made)]).toEqual([true, "project_not_allowed"]);
    expect(await state("k-1")).toMatchObject({ state: "failed", refusal: "project_not_allowed: Not there." });
  });

  it("is not delivered to another computer that has its machine's name by then", async () => {
    await user.script("attic", { fails: OFFLINE });
    await send({ key: "k-1", on_offline: "queue" });
    await user.register("attic", { identity: "identity-of-another-computer", replace: true });
    const before = (await attempts()).length;
    await user.script("attic", { answers: { "tools/call send_prompt": SENT } });
    await online(["attic"]);
    await expect.poll(() => state("k-1")).toMatchObject({ state: "failed" });
    expect((await attempts()).slice(before)).toEqual([]);
  });

  it("waits for its machine also under a new name, and not for one that gets the former name", async () => {
    await user.script("attic", { fails: OFFLINE });
    await send({ key: "k-1", on_offline: "queue" });
    expect(await state("k-1")).toMatchObject({ state: "accepted", machine: "attic" });
    for (const name of ["attic", "loft"]) await user.script(name);
    expect((await user.rest("PATCH", "/api/machines/attic", { name: "loft" })).status).toBe(200);
    expect(await state("k-1")).toMatchObject({ state: "accepted", machine: "loft" });
    await user.register("attic", { identity: "identity-of-another-computer" });
    const before = (await attempts()).length;
    for (const name of ["attic", "loft"]) await user.script(name, { answers: { "tools/call send_prompt": SENT } });
    await online(["attic", "loft"]);
    await expect.poll(() => state("k-1")).toMatchObject({ state: "delivered" });
    expect([(await attempts()).length - before, (await attempts("loft")).length]).toEqual([0, 1]);
  });

  it("is known to the client that made it, and to no other, nor to a token that may not see the machine", async () => {
    await user.script("attic", { fails: OFFLINE });
    await send({ key: "k-1", on_offline: "queue" });
    const made = await user.rest("POST", "/api/tokens", { label: "other" });
    const { token }: { token: string } = await made.json();
    const other = new TestUser(user.id, token);
    expect((await other.fetch("/api/deliveries/k-1")).status).toBe(404);
    expect((await other.rest("DELETE", "/api/deliveries/k-1")).status).toBe(404);
    expect(failureOf(await other.tool("get_delivery", { key: "k-1" }))).toBe("not_found");
    expect((await other.json<{ deliveries: unknown[] }>("/api/deliveries")).deliveries).toEqual([]);
    expect(
      await other.tool("send_prompt", { ...PROMPT, text: "Something else", key: "k-1", on_offline: "queue" }),
    ).toMatchObject({ structuredContent: { status: "waiting_for_machine" } });
    expect((await new TestUser().fetch("/api/deliveries/k-1")).status).toBe(404);
  });

  it("without a key and without a queue is relayed as ever, and nothing of it is kept", async () => {
    await user.script("attic", { answers: { "tools/call send_prompt": SENT } });
    const { structuredContent } = await send({ on_offline: "fail" });
    expect(structuredContent).not.toHaveProperty("delivery");
    expect((await attempts())[0]).toMatchObject({ arguments: { session_id: "s-1", text: "Fix the tests" } });
    expect((await user.json<{ deliveries: unknown[] }>("/api/deliveries")).deliveries).toEqual([]);
  });

  it("that is too large to be kept goes to a machine that knows keys, with its key", async () => {
    const text = "x".repeat(1_100_000);
    await user.script("attic", { answers: { "tools/call send_prompt": SENT } });
    const { structuredContent } = await send({ key: "k-large", text });
    expect(structuredContent).not.toHaveProperty("delivery");
    expect((await attempts())[0]).toMatchObject({ arguments: { session_id: "s-1", text, key: "k-large" } });
    await online(["attic"], []);
    const refused = await send({ key: "k-large", text });
    expect([failureOf(refused), refused.content[0]?.text]).toEqual([
      "invalid_request",
      expect.stringContaining("1 MB"),
    ]);
    expect(await attempts()).toHaveLength(1);
  });

  // Written down twice, these exceeded the 2 MB of a row.
  it.each([
    ["ASCII", "x".repeat(1_040_000)],
    ["quotes", '"'.repeat(520_000)],
    ["other scripts", "字".repeat(345_000)],
  ])("of nearly 1 MB in %s is kept as any other", async (_, text) => {
    await user.logs("attic", [{ type: "session.created", session: "s-1", data: {} }]);
    await user.script("attic", { fails: OFFLINE });
    const waiting = await send({ key: "k-1", text, on_offline: "queue" });
    expect(waiting.structuredContent).toMatchObject({ status: "waiting_for_machine" });
    expect(failureOf(await send({ key: "k-1", text: `${text}!`, on_offline: "queue" }))).toBe("key_reused");
    await user.script("attic", { answers: { "tools/call send_prompt": SENT } });
    await online(["attic"]);
    await expect.poll(() => state("k-1")).toMatchObject({ state: "delivered" });
    expect((await attempts()).at(-1)).toMatchObject({ arguments: { text, key: "k-1" } });
    await expect.poll(() => told("delivery.*")).toMatchObject([{ session: "attic/s-1" }]);
  });

  it.each([
    ["on_offline", { on_offline: "wait" }],
    ["ttl_ms", { key: "k", ttl_ms: -1 }],
    ["key", { key: "" }],
    ["key", { key: "x".repeat(201) }],
    ["1 MB", { key: "k", text: "x".repeat(1_100_000) }],
    ["1 MB", { key: "k", text: "字".repeat(400_000) }],
  ])("is refused with a sentence about %s", async (says, args) => {
    const refused = await send({ on_offline: "queue", ...args });
    expect([failureOf(refused), refused.content[0]?.text]).toEqual(["invalid_request", expect.stringContaining(says)]);
  });
});
