import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { asked, questioned, settled } from "../inbox/support/asking.ts";
import { env, MODERN, ORIGIN, TestUser, type ToolResult } from "../support/operator.ts";

type Form = {
  message: string;
  requestedSchema: { properties: Record<string, Record<string, unknown>>; required?: string[] };
};
type Answer = { action: "accept" | "decline" | "cancel"; content?: Record<string, string> };
type Item = { id: number; request_id: string; state: string };

const CALL = "tools/call send_and_wait";
const RESPOND = "tools/call respond_permission";
const OLDER = "2025-11-25";
const ALLOW: Answer = { action: "accept", content: { decision: "allow" } };

function answer(structuredContent: object): { headers: Record<string, string>; body: string } {
  const result = { content: [{ type: "text", text: JSON.stringify(structuredContent) }], structuredContent };
  const headers = { "content-type": "application/json" };
  return { headers, body: JSON.stringify({ jsonrpc: "2.0", id: "operator-1", result }) };
}

const WAITING = answer({ session_id: "s-1", turn_id: "t-1", status: "waiting", permission_requests: [] });
const IDLE = {
  type: "session.idle",
  session: "s-1",
  data: { turn_id: "t-1", outcome: "done", result: "It is built.", cost_usd: 0.5 },
};

/** What `codez serve` answers to `respond_permission`. */
function taken(behavior: "allow" | "deny", more: object = {}): ReturnType<typeof answer> {
  return answer({ settled: { behavior, by: "client", reason: null, atMs: 5_000, ...more } });
}

describe.each([OLDER, MODERN])("a client of %s", (revision) => {
  let user: TestUser;
  /** What the machines answer to a decision. */
  let responds: ReturnType<typeof answer>;
  const open: Client[] = [];
  beforeEach(async () => {
    user = new TestUser();
    responds = taken("allow");
    for (const name of ["attic", "cellar"]) {
      await user.machine(name, { answers: { [CALL]: WAITING } });
      await env.USER.getByName(user.id).setElicitation(name, name === "attic", null);
    }
  });
  afterEach(async () => {
    for (const client of open.splice(0)) await client.close();
  });

  /** A machine's log is this now. It goes on answering calls. */
  function logs(machine: string, events: Parameters<TestUser["logs"]>[1]): Promise<void> {
    return user.logs(machine, events, { answers: { [CALL]: WAITING, [RESPOND]: responds } });
  }

  /** The SDK's client, whose person fills in each form like this. Without `fill` it cannot show forms. */
  async function connected(fill?: (form: Form) => Answer | Promise<Answer>): Promise<Client> {
    const capabilities = fill === undefined ? {} : { elicitation: {} };
    const mode = revision === MODERN ? { pin: MODERN } : ("legacy" as const);
    const client = new Client({ name: "t", version: "1" }, { capabilities, versionNegotiation: { mode } });
    if (fill !== undefined)
      client.setRequestHandler("elicitation/create", ({ params }) => fill(params as unknown as Form));
    const fetch = (url: string | URL, { body, ...init }: RequestInit = {}): Promise<Response> => {
      const headers = new Headers(init.headers);
      if (typeof body === "string") headers.set("content-length", String(new TextEncoder().encode(body).length));
      const { pathname } = new URL(url);
      return user.fetch(pathname, { ...init, headers, ...(typeof body === "string" ? { body } : {}) });
    };
    await client.connect(new StreamableHTTPClientTransport(new URL(`${ORIGIN}/mcp`), { fetch }));
    open.push(client);
    return client;
  }

  async function prompt(client: Client, more: Record<string, unknown> = {}): Promise<Record<string, unknown>> {
    const args = { session_id: "attic/s-1", text: "Build it", timeout_ms: 20_000, ...more };
    const result = await client.callTool({ name: "send_and_wait", arguments: args });
    return (result as unknown as ToolResult).structuredContent ?? {};
  }

  /** The calls of a tool that reached a machine. */
  async function calls(name: string, machine = "attic"): Promise<Record<string, unknown>[]> {
    return (await user.reached(machine)).flatMap(({ path, body }) => {
      const call = path === "/operator/call" ? JSON.parse(body).params : {};
      return call.name === name ? [call.arguments] : [];
    });
  }

  async function items(state = "waiting"): Promise<Item[]> {
    return (await user.json<{ pending: Item[] }>(`/api/inbox?state=${state}`)).pending;
  }

  it("shows its person the request, takes the answer, and waits on until the turn has ended", async () => {
    const forms: Form[] = [];
    const client = await connected((form) => {
      forms.push(form);
      return ALLOW;
    });
    const called = prompt(client);
    await expect.poll(() => calls("send_and_wait")).toHaveLength(1);
    await logs("attic", [asked("r-1")]);
    await expect.poll(() => calls("respond_permission")).toHaveLength(1);
    await logs("attic", [asked("r-1"), settled("r-1"), IDLE]);
    expect(await called).toEqual({
      session_id: "attic/s-1",
      turn_id: "t-1",
      status: "done",
      result: "It is built.",
      cost_usd: 0.5,
    });
    expect(forms).toHaveLength(1);
    expect(forms[0]?.message).toContain('| {\n|   "command": "rm -rf build"\n| }');
    expect(forms[0]?.requestedSchema.properties["decision"]).toMatchObject({ enum: ["allow", "deny"] });
    expect(await calls("respond_permission")).toEqual([{ session_id: "s-1", request_id: "r-1", behavior: "allow" }]);
    expect(await calls("send_and_wait")).toHaveLength(1);
    const [decided] = await user.json<{ pending: { settled: object }[] }>("/api/inbox?state=settled").then(({ pending }) => pending); // prettier-ignore
    expect(decided?.settled).toMatchObject({ behavior: "allow", by: "somebody who was asked in loopback" });
  });

  it("asks once for each request of the turn, and answers a question with the chosen option", async () => {
    responds = taken("deny", { reason: "not now" });
    const client = await connected(({ requestedSchema }) =>
      "choice_1" in requestedSchema.properties
        ? { action: "accept", content: { choice_1: "Postgres" } }
        : { action: "accept", content: { decision: "deny", reason: "not now" } },
    );
    await logs("attic", [asked("r-1")]);
    const called = prompt(client);
    await expect.poll(() => calls("respond_permission")).toHaveLength(1);
    responds = taken("allow", { answers: { "Which database?": "Postgres" } });
    await logs("attic", [asked("r-1"), settled("r-1", { behavior: "deny" }), questioned("r-2")]);
    await expect.poll(() => calls("respond_permission")).toHaveLength(2);
    await logs("attic", [
      asked("r-1"),
      settled("r-1", { behavior: "deny" }),
      questioned("r-2"),
      settled("r-2", {}, "question"),
      IDLE,
    ]);
    expect(await called).toMatchObject({ status: "done" });
    expect(await calls("respond_permission")).toEqual([
      { session_id: "s-1", request_id: "r-1", behavior: "deny", reason: "not now" },
      { session_id: "s-1", request_id: "r-2", behavior: "allow", answers: { "Which database?": "Postgres" } },
    ]);
  });

  it.each([
    ["declines", { action: "decline" } as Answer],
    ["closes the form", { action: "cancel" } as Answer],
    ["chooses nothing", { action: "accept", content: {} } as Answer],
    ["chooses what is not offered", { action: "accept", content: { decision: "yes" } } as Answer],
  ])("decides nothing if its person %s: the request waits in the inbox", async (_, given) => {
    await logs("attic", [asked("r-1")]);
    const told = await prompt(await connected(() => given)).catch((reason: unknown) => ({ status: String(reason) }));
    // The SDK's client checks an answer against the form, and tells us an error in place of one that does not fit.
    expect(["waiting", expect.stringContaining("does not match")]).toContainEqual(told["status"]);
    expect(await items()).toMatchObject([{ request_id: "r-1", state: "waiting" }]);
    expect(await calls("respond_permission")).toEqual([]);
  });

  it("goes on with a decision that was made elsewhere, and the answer from the form then changes nothing", async () => {
    await logs("attic", [asked("r-1")]);
    const { promise: shown, resolve: show } = Promise.withResolvers<void>();
    const { promise: filled, resolve: fill } = Promise.withResolvers<Answer>();
    const client = await connected(() => {
      show();
      return filled;
    });
    const called = prompt(client);
    await shown;
    await logs("attic", [asked("r-1"), settled("r-1", { behavior: "deny", settled_by: "machine" })]);
    fill(ALLOW);
    await logs("attic", [
      asked("r-1"),
      settled("r-1", { behavior: "deny", settled_by: "machine" }),
      { ...IDLE, data: { ...IDLE.data, result: "It was denied." } },
    ]);
    expect(await called).toMatchObject({ status: "done", result: "It was denied." });
    expect(await calls("respond_permission")).toEqual([]);
    expect(await items("settled")).toMatchObject([
      { settled: { behavior: "deny", by: 'somebody at machine "attic"' } },
    ]);
  });

  it("is told that the request still waits when the call's time is up, and a later answer then decides nothing", async () => {
    if (revision === MODERN) return; // such a call has ended while its person thinks: see bound.test.ts
    await logs("attic", [asked("r-1")]);
    const { promise: filled, resolve: fill } = Promise.withResolvers<Answer>();
    const told = await prompt(await connected(() => filled), { timeout_ms: 300 });
    expect(told).toMatchObject({
      status: "waiting",
      not_decided: "Nobody answered the form in time.",
      permission_requests: [{ request_id: "r-1" }],
      answer_at: `${ORIGIN}/inbox`,
    });
    fill(ALLOW);
    await expect.poll(() => items()).toMatchObject([{ request_id: "r-1", state: "waiting" }]);
    expect(await calls("respond_permission")).toEqual([]);
  });

  it("ends the form when it cancels the call, and nothing is decided", async () => {
    await logs("attic", [asked("r-1")]);
    const { promise: shown, resolve: show } = Promise.withResolvers<void>();
    const { promise: filled, resolve: fill } = Promise.withResolvers<Answer>();
    const client = await connected(() => {
      show();
      return filled;
    });
    const cancel = new AbortController();
    const args = { session_id: "attic/s-1", text: "Build it", timeout_ms: 20_000 };
    const called = client.callTool({ name: "send_and_wait", arguments: args }, { signal: cancel.signal });
    const failed = expect(called).rejects.toThrow();
    await shown;
    cancel.abort("enough");
    fill(ALLOW);
    await failed;
    await expect.poll(() => items()).toMatchObject([{ request_id: "r-1", state: "waiting" }]);
    expect(await calls("respond_permission")).toEqual([]);
  });

  it("is not asked by a machine whose person has not allowed that, and no other machine's request is put to it", async () => {
    let shown = 0;
    const client = await connected(() => {
      shown += 1;
      return ALLOW;
    });
    await logs("attic", [asked("r-1")]);
    await logs("cellar", [asked("r-2")]);
    expect(await prompt(client, { session_id: "cellar/s-1" })).toMatchObject({ status: "waiting" });
    expect(shown).toBe(0);
    expect(await items()).toHaveLength(2);
  });

  it("is not asked about another session of the same machine", async () => {
    let shown = 0;
    const client = await connected(() => {
      shown += 1;
      return ALLOW;
    });
    await logs("attic", [asked("r-1", { session: "s-2" })]);
    expect(await prompt(client, { timeout_ms: 100 })).toMatchObject({ status: "waiting" });
    expect(shown).toBe(0);
  });

  it("is told what waits, as before, if it cannot show forms", async () => {
    await logs("attic", [asked("r-1")]);
    expect(await prompt(await connected())).toEqual({
      session_id: "attic/s-1",
      turn_id: "t-1",
      status: "waiting",
      permission_requests: [],
    });
    expect(await items()).toHaveLength(1);
  });

  it("is refused like any client if the machine does not accept answers of clients", async () => {
    const refusal = { error: { code: "approval_not_allowed", message: "this machine takes no answers of clients" } };
    const result = { isError: true, content: [], structuredContent: refusal };
    const body = JSON.stringify({ jsonrpc: "2.0", id: "operator-1", result });
    responds = { headers: { "content-type": "application/json" }, body };
    await logs("attic", [asked("r-1")]);
    expect(await prompt(await connected(() => ALLOW))).toMatchObject({
      status: "waiting",
      not_decided: expect.stringContaining("this machine takes no answers of clients"),
    });
    expect(await items()).toMatchObject([{ request_id: "r-1", state: "waiting" }]);
  });

  it("does not show a request that is too large to be read in a form", async () => {
    await logs("attic", [asked("r-1", { input: { command: "x".repeat(5_000) } })]);
    let shown = 0;
    const told = await prompt(
      await connected(() => {
        shown += 1;
        return ALLOW;
      }),
    );
    expect([told["status"], shown]).toEqual(["waiting", 0]);
  });
});
