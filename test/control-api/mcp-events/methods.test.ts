import { describe, expect, it } from "vitest";
import { TOOLS } from "../../../control-api/src/mcp/tools/tool-list.ts";
import { MODERN, type RpcAnswer, TestUser } from "../support/operator.ts";

type Listed = { name: string; delivery: string[]; inputSchema: object; payloadSchema: { properties: object } };
type Occurrence = { eventId: string; name: string; timestamp: string; data: Record<string, unknown> };
type Polled = { events: Occurrence[]; cursor: string; truncated: boolean; hasMore: boolean; nextPollMs: number };

const ASKED = {
  type: "permission.requested",
  session: "s1",
  data: { request_id: "r1", tool: "Bash", input: { command: "ls" } },
};

async function poll(user: TestUser, params: Record<string, unknown>): Promise<Polled> {
  const { answer } = await user.rpc("events/poll", params);
  if (answer.result === undefined) throw new Error(JSON.stringify(answer.error));
  return answer.result as unknown as Polled;
}

async function errorOf(user: TestUser, method: string, params: Record<string, unknown>): Promise<RpcAnswer["error"]> {
  return (await user.rpc(method, params)).answer.error;
}

async function person(...machines: string[]): Promise<TestUser> {
  const user = new TestUser();
  for (const name of machines) {
    await user.machine(name);
    await user.logs(name, []);
  }
  return user;
}

describe("the events extension", () => {
  it.each([MODERN, "2025-11-25"])("is advertised to a client of %s, beside unchanged tools", async (revision) => {
    const alice = new TestUser();
    const { answer } =
      revision === MODERN
        ? await alice.rpc("server/discover")
        : await alice.rpc("initialize", { protocolVersion: revision, capabilities: {}, clientInfo: { name: "t", version: "1" } }, revision); // prettier-ignore
    expect(answer.result?.["capabilities"]).toEqual({
      tools: {},
      resources: {},
      events: {},
      extensions: { "io.modelcontextprotocol/events": {} },
    });
    const tools = (await alice.rpc("tools/list", {}, revision)).answer.result?.["tools"];
    expect(tools).toHaveLength(TOOLS.length);
  });

  it("lists its types with schemas, without contacting a machine", async () => {
    const alice = await person("attic");
    const { answer } = await alice.rpc("events/list");
    const events = answer.result?.["events"] as Listed[];
    expect(events.map(({ name }) => name)).toEqual(
      expect.arrayContaining(["permission.requested", "question.asked", "turn.completed", "session.failed", "machine.online", "machine.offline"]), // prettier-ignore
    );
    for (const event of events)
      expect(event).toMatchObject({
        delivery: ["poll", "push", "webhook"],
        inputSchema: { type: "object", properties: { machineId: { type: "string" } } },
        payloadSchema: { type: "object", required: ["machine", "session"] },
      });
    expect(answer.result?.["resultType"]).toBe("complete");
    expect(await alice.reached("attic")).toEqual([]);
  });
});

describe("events/poll", () => {
  it("starts now without a cursor, and then returns each event once", async () => {
    const alice = await person("attic");
    await alice.logs("attic", [ASKED]);
    const begun = await poll(alice, { name: "permission.requested" });
    expect(begun).toMatchObject({ events: [], truncated: false, hasMore: false, nextPollMs: 10_000 });
    expect(await poll(alice, { name: "permission.requested", cursor: null })).toEqual(begun);
    await alice.logs("attic", [ASKED, { type: "message", session: "s1" }, { ...ASKED, session: "s2", atMs: 1_000 }]);
    const after = await poll(alice, { name: "permission.requested", cursor: begun.cursor });
    expect(after).toMatchObject({ truncated: false, hasMore: false });
    expect(after.events).toEqual([
      {
        eventId: expect.stringMatching(/^evt_/),
        name: "permission.requested",
        timestamp: "1970-01-01T00:00:01.000Z",
        data: { machine: "attic", session: "attic/s2", request_id: "r1", tool: "Bash", input: { command: "ls" } },
      },
    ]);
    expect((await poll(alice, { name: "permission.requested", cursor: after.cursor })).events).toEqual([]);
    const again = await poll(alice, { name: "permission.requested", cursor: begun.cursor });
    expect(again.events.map(({ eventId }) => eventId)).toEqual(after.events.map(({ eventId }) => eventId));
  });

  it("returns maxEvents at a time, and continues from the cursor", async () => {
    const alice = await person("attic");
    const { cursor } = await poll(alice, { name: "session.created" });
    await alice.logs("attic", ["a", "b", "c"].map((session) => ({ type: "session.created", session, data: {} }))); // prettier-ignore
    const first = await poll(alice, { name: "session.created", cursor, maxEvents: 2 });
    expect(first.events.map(({ data }) => data["session"])).toEqual(["attic/a", "attic/b"]);
    expect(first.hasMore).toBe(true);
    const rest = await poll(alice, { name: "session.created", cursor: first.cursor, maxEvents: 2 });
    expect(rest.events.map(({ data }) => data["session"])).toEqual(["attic/c"]);
    expect(rest.hasMore).toBe(false);
  });

  it("filters by machine and by session", async () => {
    const alice = await person("attic", "cellar");
    const { cursor } = await poll(alice, { name: "session.failed" });
    const failed = (session: string) => ({ type: "session.error", session, data: { message: session } });
    await alice.logs("attic", [failed("s1"), failed("s2")]);
    await alice.logs("cellar", [failed("s1")]);
    const sessions = async (args: object) =>
      (await poll(alice, { name: "session.failed", arguments: args, cursor })).events.map(
        ({ data }) => data["session"],
      );
    expect(await sessions({ machineId: "attic" })).toEqual(["attic/s1", "attic/s2"]);
    expect(await sessions({ session: "cellar/s1" })).toEqual(["cellar/s1"]);
    expect(await sessions({ session: "attic/s1", machineId: "attic" })).toEqual(["attic/s1"]);
  });

  it("reports the end of a turn that a queued prompt follows, and no other change of status", async () => {
    const alice = await person("attic");
    const { cursor } = await poll(alice, { name: "turn.completed" });
    await alice.logs("attic", [
      { type: "session.updated", session: "s1", data: { status: "busy", turn_id: "t1" } },
      {
        type: "session.updated",
        session: "s1",
        data: { status: "live", turn_id: "t1", outcome: "completed", queued: 1 },
      },
      { type: "session.idle", session: "s1", data: { turn_id: "t2", outcome: "completed", result: "Done." } },
    ]);
    const { events } = await poll(alice, { name: "turn.completed", cursor });
    expect(events.map(({ data }) => data["turn_id"])).toEqual(["t1", "t2"]);
  });

  it("leaves out fields of the wrong type, and survives an impossible time", async () => {
    const alice = await person("attic");
    const { cursor } = await poll(alice, { name: "session.failed" });
    const data = { message: { not: "text" }, lost_prompts: 2, secret: "no", machine: "forged", session: "forged" };
    await alice.logs("attic", [{ type: "session.error", session: "s1", data, atMs: 9e15 }]);
    const { events } = await poll(alice, { name: "session.failed", cursor });
    expect(events).toMatchObject([{ data: { machine: "attic", session: "attic/s1", lost_prompts: 2 } }]);
    expect(Object.keys(events[0]?.data ?? {}).toSorted()).toEqual(["lost_prompts", "machine", "session"]);
  });

  it("skips events older than maxAgeMs and reports it", async () => {
    const alice = await person("attic");
    const { cursor } = await poll(alice, { name: "session.created" });
    const now = Date.now();
    await alice.logs(
      "attic",
      [now - 3_600_000, now].map((atMs) => ({ type: "session.created", session: "s", atMs })),
    );
    const recent = await poll(alice, { name: "session.created", cursor, maxAgeMs: 60_000 });
    expect(recent).toMatchObject({ truncated: true, events: [{ timestamp: new Date(now).toISOString() }] });
    expect((await poll(alice, { name: "session.created", cursor })).truncated).toBe(false);
  });

  it("refuses unknown requests with the error codes of the SEP", async () => {
    const alice = await person("attic");
    expect(await errorOf(alice, "events/poll", { name: "mail.received" })).toMatchObject({ code: -32_023, data: { kind: "event" } }); // prettier-ignore
    for (const args of [{ severity: "P1" }, { machineId: 1 }, { session: "bare" }, { machineId: "A B" }, { machineId: "attic", session: "cellar/s" }, "text"]) // prettier-ignore
      expect(await errorOf(alice, "events/poll", { name: "session.failed", arguments: args }), JSON.stringify(args)).toMatchObject({ code: -32_602 }); // prettier-ignore
    expect(await errorOf(alice, "events/poll", { name: "machine.online", arguments: { session: "attic/s" } })).toMatchObject({ code: -32_602 }); // prettier-ignore
    expect(await errorOf(alice, "events/poll", { name: "session.failed", cursor: "nonsense" })).toMatchObject({ code: -32_602 }); // prettier-ignore
    expect(await errorOf(alice, "events/poll", { name: "session.failed", arguments: { machineId: "cellar" } })).toMatchObject({ code: -32_024 }); // prettier-ignore
    expect(await errorOf(alice, "events/list", { cursor: "page-2" })).toMatchObject({ code: -32_602 });
    const delivery = { mode: "queue", url: "https://receiver.example/hook", secret: `whsec_${btoa("x".repeat(32))}` };
    const unsupported = { code: -32_026, data: { feature: "deliveryMode", value: "queue" } };
    expect(await errorOf(alice, "events/subscribe", { name: "session.failed", delivery })).toMatchObject(unsupported);
  });

  it("says once that events are missing in between", async () => {
    const alice = await person("attic");
    await alice.logs("attic", [ASKED]);
    const { cursor } = await poll(alice, { name: "permission.requested" });
    await alice.logs("attic", [{ ...ASKED, seq: 8 }]);
    const polled = await poll(alice, { name: "permission.requested", cursor });
    expect(polled).toMatchObject({ truncated: true, events: [{ data: { request_id: "r1" } }] });
    const after = await poll(alice, { name: "permission.requested", cursor: polled.cursor });
    expect(after).toMatchObject({ truncated: false, events: [] });
  });

  it("shows neither other people's machines nor that they exist", async () => {
    const [alice, bob] = [await person("attic"), await person("attic", "cellar")];
    const { cursor } = await poll(alice, { name: "session.failed" });
    await bob.logs("cellar", [{ type: "session.error", session: "s1", data: {} }]);
    expect((await poll(alice, { name: "session.failed", cursor })).events).toEqual([]);
    const foreign = await errorOf(alice, "events/poll", { name: "session.failed", arguments: { machineId: "cellar" } });
    const unknown = await errorOf(alice, "events/poll", { name: "session.failed", arguments: { machineId: "barn" } });
    expect(foreign?.message.replace("cellar", "barn")).toBe(unknown?.message);
  });

  it("does not go on about another computer that has got the machine's name", async () => {
    const alice = await person("attic", "cellar");
    const [about, other] = [{ machineId: "attic" }, { machineId: "cellar" }];
    const { cursor } = await poll(alice, { name: "session.failed", arguments: about });
    expect(await poll(alice, { name: "session.failed", arguments: about, cursor })).toMatchObject({ events: [] });
    await alice.register("attic", { identity: "identity-of-another", replace: true });
    await alice.logs("attic", [{ type: "session.error", session: "s1", data: {} }]);
    const delivery = { mode: "webhook", url: "https://receiver.example/hook", secret: `whsec_${btoa("x".repeat(32))}` };
    for (const method of ["events/poll", "events/stream", "events/subscribe"]) {
      const params = { name: "session.failed", arguments: about, cursor, delivery };
      expect((await errorOf(alice, method, params))?.message).toBe('"attic" is another machine now.');
    }
    for (const others of [other, undefined])
      expect(
        await errorOf(alice, "events/poll", { name: "session.failed", arguments: others, cursor }),
      ).toBeUndefined();
    const anew = await poll(alice, { name: "session.failed", arguments: about });
    expect(anew.cursor).not.toBe(cursor);
  });

  it("shows a token limited to one machine only that machine", async () => {
    const alice = await person("attic", "cellar");
    const made = await alice.rest("POST", "/api/tokens", { label: "one", machines: ["attic"] });
    const { token }: { token: string } = await made.json();
    const limited = new TestUser(alice.id, token);
    const { cursor } = await poll(limited, { name: "session.failed" });
    for (const name of ["attic", "cellar"]) await alice.logs(name, [{ type: "session.error", session: "s", data: {} }]);
    const { events } = await poll(limited, { name: "session.failed", cursor });
    expect(events.map(({ data }) => data["machine"])).toEqual(["attic"]);
    expect(await errorOf(limited, "events/poll", { name: "session.failed", arguments: { machineId: "cellar" } })).toMatchObject({ code: -32_024 }); // prettier-ignore
  });
});
