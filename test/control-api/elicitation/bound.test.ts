// An answer to a form decides the one request that was shown, for the client that was shown it, and nothing else.
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { asked, settled } from "../inbox/support/asking.ts";
import { env, MODERN, type RpcAnswer, TestUser } from "../support/operator.ts";

const JSON_HEADERS = { "content-type": "application/json", accept: "application/json, text/event-stream" };
const CAPABILITIES = "io.modelcontextprotocol/clientCapabilities";
const ARGS = { session_id: "attic/s-1", text: "Build it", timeout_ms: 100 };
const ALLOW = { action: "accept", content: { decision: "allow" } };

function answer(structuredContent: object): { headers: Record<string, string>; body: string } {
  const result = { content: [], structuredContent };
  return {
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ jsonrpc: "2.0", id: "operator-1", result }),
  };
}

const ANSWERS = {
  "tools/call send_and_wait": answer({ session_id: "s-1", turn_id: "t-1", status: "waiting" }),
  "tools/call respond_permission": answer({ settled: { behavior: "allow", by: "client", reason: null, atMs: 5_000 } }),
};

describe("the answer to a form", () => {
  let user: TestUser;
  beforeEach(async () => {
    user = new TestUser();
    await user.machine("attic");
    await env.USER.getByName(user.id).setElicitation("attic", true, null);
    await user.logs("attic", [asked("r-1"), asked("r-2")], { answers: ANSWERS });
  });

  /** A call of a client of 2026-07-28 that can show forms. */
  async function call(more: object = {}, args: object = ARGS, caller = user, meta: object = {}): Promise<RpcAnswer> {
    const _meta = {
      "io.modelcontextprotocol/protocolVersion": MODERN,
      "io.modelcontextprotocol/clientInfo": { name: "t", version: "1" },
      [CAPABILITIES]: { elicitation: { form: {} } },
      ...meta,
    };
    const params = { name: "send_and_wait", arguments: args, _meta, ...more };
    const body = JSON.stringify({ jsonrpc: "2.0", id: 7, method: "tools/call", params });
    const headers = {
      ...JSON_HEADERS,
      "mcp-protocol-version": MODERN,
      "mcp-method": "tools/call",
      "mcp-name": "send_and_wait",
      "content-length": String(body.length),
    };
    const response = await caller.fetch("/mcp", { method: "POST", headers, body });
    const text = await response.text();
    const data = text.split("\n").findLast((line) => line.startsWith("data: {"));
    return JSON.parse(data?.slice("data: ".length) ?? text);
  }

  async function shown(): Promise<string> {
    const { result } = await call();
    expect(result).toMatchObject({
      resultType: "input_required",
      inputRequests: { decision: { method: "elicitation/create", params: { mode: "form" } } },
    });
    return String(result?.["requestState"]);
  }

  const answered = (requestState: string, args: object = ARGS, caller = user): Promise<RpcAnswer> =>
    call({ requestState, inputResponses: { decision: ALLOW } }, args, caller);

  async function decided(): Promise<unknown[]> {
    const reached = await user.reached("attic");
    return reached.flatMap(({ path, body }) => {
      const params = path === "/operator/call" ? JSON.parse(body).params : {};
      return params.name === "respond_permission" ? [params.arguments.request_id] : [];
    });
  }

  it("decides the request that was shown and no other one of the session, however often it is sent", async () => {
    const state = await shown();
    const next = await answered(state);
    // The second request of the session is another form, and another answer.
    expect(next.result).toMatchObject({ resultType: "input_required" });
    await answered(state);
    expect(await decided()).toEqual(["r-1"]);
    const sent = (await user.reached("attic")).filter(({ body }) => body.includes('"send_and_wait"'));
    expect(sent).toHaveLength(1);
  });

  it("decides once, however often it is sent at the same time", async () => {
    const state = await shown();
    await Promise.all(Array.from({ length: 20 }, () => answered(state)));
    expect(await decided()).toEqual(["r-1"]);
  });

  it("decides nothing unless it is exactly a form that was filled in", async () => {
    const allow = (content: unknown) => ({ decision: { action: "accept", content } });
    const odd: unknown[] = [
      null,
      [ALLOW],
      { decision: [ALLOW] },
      { DECISION: ALLOW },
      JSON.parse(`{"__proto__":{"decision":${JSON.stringify(ALLOW)}}}`),
      { decision: { ...ALLOW, action: "ACCEPT" } },
      { decision: { ...ALLOW, action: "decline" } },
      allow(null),
      allow({ decision: ["allow"] }),
      allow({ decision: "ALLOW" }),
      allow({ decision: "allow\0" }),
      allow(JSON.parse('{"__proto__":{"decision":"allow"}}')),
    ];
    const states = await Promise.all(odd.map(() => shown()));
    await Promise.all(odd.map((inputResponses, at) => call({ requestState: states[at], inputResponses })));
    expect(await decided()).toEqual([]);
  });

  it.each([
    ["with another prompt", { ...ARGS, text: "Delete it" }],
    ["for another session", { ...ARGS, session_id: "attic/s-2" }],
  ])("is refused %s, and the machine is not asked", async (_, args) => {
    const { result } = await answered(await shown(), args);
    expect(result).toMatchObject({ isError: true, structuredContent: { error: { code: "invalid_request" } } });
    expect(await decided()).toEqual([]);
  });

  it.each([
    ["one that was changed", (state: string) => `${state.slice(0, -2)}AA`],
    ["one that nobody signed", () => "v1.e30.AAAA"],
    ["an empty one", () => ""],
  ])("is refused with a state that is not Operator's: %s", async (_, forge) => {
    const { result } = await answered(forge(await shown()));
    expect(result).toMatchObject({ isError: true, structuredContent: { error: { code: "invalid_request" } } });
    expect(await decided()).toEqual([]);
  });

  it("is refused from another person, whose machine has the same name", async () => {
    const state = await shown();
    const other = new TestUser();
    await other.machine("attic");
    await env.USER.getByName(other.id).setElicitation("attic", true, null);
    await other.logs("attic", [asked("r-1")], { answers: ANSWERS });
    expect((await answered(state, ARGS, other)).result).toMatchObject({ isError: true });
    expect(await decided()).toEqual([]);
  });

  it("is refused from another token of the same person", async () => {
    const state = await shown();
    const made = await env.USER.getByName(user.id).createToken(
      "other",
      { scopes: ["mcp:tools"], machines: null, expiresMs: null } as never,
      { by: "test", credential: null } as never,
    );
    const token = new TestUser(user.id, String((made as { token?: string }).token));
    expect((await answered(state, ARGS, token)).result).toMatchObject({ isError: true });
    expect(await decided()).toEqual([]);
  });

  it("is taken back with the token that it came with, while its machine is away", async () => {
    const made = await user.rest("POST", "/api/tokens", { label: "other", scopes: ["mcp:tools"] });
    const { id, token }: { id: string; token: string } = await made.json();
    const caller = new TestUser(user.id, token);
    const { result } = await call({}, ARGS, caller);
    await user.script("attic", { fails: { code: "machine_offline", machine: "attic", lastSeenMs: null } });
    await answered(String(result?.["requestState"]), ARGS, caller);
    const { pending } = await user.json<{ pending: { id: number }[] }>("/api/inbox");
    const items = () => Promise.all(pending.map((item) => env.USER.getByName(user.id).inboxItem(null, item.id)));
    const decisions = async () => (await items()).flatMap((item) => item?.decision?.by ?? []);
    expect(await decisions()).toMatchObject([{ via: "form", bearer: `token:${id}` }]);
    await user.rest("DELETE", `/api/tokens/${id}`);
    expect(await decisions()).toEqual([]);
  });

  it("decides nothing once its person has withdrawn the permission to ask", async () => {
    const state = await shown();
    await env.USER.getByName(user.id).setElicitation("attic", false, null);
    await answered(state);
    expect(await decided()).toEqual([]);
    const { pending } = await user.json<{ pending: { state: string }[] }>("/api/inbox");
    expect(pending.map((item) => item.state)).toEqual(["waiting", "waiting"]);
  });

  it("is not asked for where its person does not allow forms, and the machine's own answer comes at once", async () => {
    await env.USER.getByName(user.id).setElicitation("attic", false, null);
    const { result } = await call();
    expect(result?.["structuredContent"]).toEqual({ session_id: "attic/s-1", turn_id: "t-1", status: "waiting" });
  });

  it("is not asked for any more when forms were switched off while the request before was settled elsewhere", async () => {
    const state = await shown();
    await user.logs("attic", [asked("r-1"), asked("r-2"), settled("r-1")], { answers: ANSWERS });
    await env.USER.getByName(user.id).setElicitation("attic", false, null);
    const { result } = await answered(state);
    expect(result).not.toHaveProperty("inputRequests");
    expect(result).toMatchObject({ structuredContent: { not_asked: "Forms are off for this machine or client." } });
  });

  async function prompts(): Promise<number> {
    return (await user.reached("attic")).filter(({ body }) => body.includes('"send_and_wait"')).length;
  }

  it.each([
    ["forms were switched off meanwhile", () => env.USER.getByName(user.id).setElicitation("attic", false, null), {}],
    [
      "the machine was removed and added again meanwhile",
      async () => {
        await user.rest("DELETE", "/api/machines/attic");
        await user.machine("attic");
      },
      {},
    ],
    ["the client does not say any more that it can show forms", () => undefined, { [CAPABILITIES]: {} }],
  ])("does not send the prompt again if %s", async (_, happen, meta) => {
    const state = await shown();
    await happen();
    const sentBefore = await prompts();
    const { result } = await call({ requestState: state, inputResponses: { decision: ALLOW } }, ARGS, user, meta);
    expect(result).toBeDefined();
    expect(result).not.toHaveProperty("inputRequests");
    expect(await prompts()).toBe(sentBefore);
  });

  describe("of a client that comes back late", () => {
    const MINUTE_MS = 60_000;
    beforeEach(async () => {
      user = new TestUser();
      await user.machine("attic");
      await env.USER.getByName(user.id).setElicitation("attic", true, null);
    });
    afterEach(() => void vi.restoreAllMocks());

    /** One request, for which the machine waits so long. */
    const waits = (minutes: number, ...more: Parameters<TestUser["logs"]>[1]): Promise<void> =>
      user.logs("attic", [asked("r-1", { expires_at_ms: 1_000 + minutes * MINUTE_MS }), ...more], { answers: ANSWERS });

    /** So much later. The clock goes on, since the call that comes back waits again. */
    const pass = (minutes: number): void => {
      const now = Date.now.bind(Date);
      vi.spyOn(Date, "now").mockImplementation(() => now() + minutes * MINUTE_MS);
    };

    it.each([
      [59, ["r-1"], undefined],
      [61, [], "comes too late"],
    ])("%i minutes later, decides %j", async (minutes, requests, said) => {
      await waits(240);
      const state = await shown();
      pass(minutes);
      const { result } = await answered(state);
      expect(await decided()).toEqual(requests);
      expect(await prompts()).toBe(1);
      if (said === undefined) return expect(result).not.toHaveProperty("isError");
      expect(result).toMatchObject({ isError: true, structuredContent: { error: { code: "invalid_request" } } });
      expect(JSON.stringify(result)).toContain(said);
      const { pending } = await user.json<{ pending: { state: string }[] }>("/api/inbox");
      expect(pending).toMatchObject([{ state: "waiting" }]);
    });

    it("decides nothing when the machine no longer waits for the request: its turn has gone on without it", async () => {
      await waits(10);
      const state = await shown();
      pass(11);
      const { result } = await answered(state);
      expect(result).toMatchObject({ structuredContent: { status: "running", permission_requests: [] } });
      expect(await decided()).toEqual([]);
    });

    it("leaves the request in the inbox while it stays away, and goes on with what was decided there", async () => {
      await waits(240);
      const state = await shown();
      pass(30);
      const { pending } = await user.json<{ pending: { id: number; state: string }[] }>("/api/inbox");
      expect(pending).toMatchObject([{ state: "waiting" }]);
      await waits(240, settled("r-1", { behavior: "deny" }), {
        type: "session.idle",
        session: "s-1",
        data: { turn_id: "t-1", outcome: "done", result: "It was denied." },
      });
      // Enough time to read what has happened: with none left, the call says that the turn is running.
      expect((await answered(state, { ...ARGS, timeout_ms: 20_000 })).result).toMatchObject({
        structuredContent: { status: "done", result: "It was denied." },
      });
      expect(await decided()).toEqual([]);
    });

    it("gets the call back when its own time is up before the turn has ended: the turn goes on", async () => {
      await waits(240);
      const { result } = await answered(await shown());
      expect(result).toMatchObject({
        structuredContent: {
          session_id: "attic/s-1",
          turn_id: "t-1",
          status: expect.stringMatching(/^(?:running|waiting)$/),
        },
      });
      expect(await decided()).toEqual(["r-1"]);
    });
  });

  it("does not send the prompt again if the machine was removed meanwhile", async () => {
    const state = await shown();
    await user.rest("DELETE", "/api/machines/attic");
    const { result } = await answered(state);
    expect(result).toMatchObject({ isError: true, structuredContent: { error: { code: "machine_unknown" } } });
  });

  it("decides nothing if another computer has the machine's name by then", async () => {
    const state = await shown();
    await user.register("attic", { identity: "identity-of-another-computer", replace: true });
    expect((await env.USER.getByName(user.id).machine("attic"))?.elicitation).toBe(false);
    await answered(state);
    expect(await decided()).toEqual([]);
  });
});

describe("a client before 2026-07-28", () => {
  it("cannot answer a form of another client, whose session and id it does not have", async () => {
    const user = new TestUser();
    const stub = env.USER.getByName(user.id);
    const [mine, id] = ["session-1-form", "form-1"];
    const waiting = stub.answerToForm(JSON.stringify([mine, "loopback", id]), 30_000);
    const post = (session: string, form: string): Promise<Response> => {
      const body = JSON.stringify({ jsonrpc: "2.0", id: form, result: ALLOW });
      const headers = { ...JSON_HEADERS, "mcp-session-id": session, "content-length": String(body.length) };
      return user.fetch("/mcp", { method: "POST", headers, body });
    };
    for (const [session, form] of [
      ["session-2-form", id],
      [mine, "form-2"],
    ] as const)
      expect((await post(session, form)).status).toBe(202);
    expect((await post(mine, id)).status).toBe(202);
    // Had one of the others arrived there, this one would not be the answer that arrived first.
    expect(await waiting).toEqual(ALLOW);
    expect(await stub.answerForm(JSON.stringify([mine, "loopback", id]), ALLOW as never)).toBe(false);
  });
});
