/**
 * Root cause: whether a caller is let in was asked when a request began and never again, so that a stream or a long-poll
 * went on delivering after its token was revoked. Later it was asked of event streams alone, though a machine can make any answer a stream.
 */
import { describe, expect, it, onTestFinished, vi } from "vitest";
import { removePerson } from "../../../control-api/src/sign-in/remove-person.ts";
import { User } from "../../../control-api/src/user/user.ts";
import {
  ask,
  bearer,
  Client,
  directory,
  token as tokenRequest,
  Visitor,
} from "../../control-api/sign-in/support/visitor.ts";
import { env, TestUser } from "../../control-api/support/operator.ts";

/**
 * A revocation is noticed by everything that has been open for a second; before that, within that second. On a busy computer it takes longer.
 * Without it a long poll would stay open for 25 s, a call for 30 s, and a stream indefinitely.
 */
const SOON_MS = 15_000;

const POLL = { jsonrpc: "2.0", id: 1, method: "tools/call", params: { name: "poll_events", arguments: {} } };
const toolCall = (name: string, args: object) => ({ jsonrpc: "2.0", id: 1, method: "tools/call", params: { name, arguments: args } }); // prettier-ignore
const CALL = { jsonrpc: "2.0", id: 1, method: "tools/call", params: { name: "echo", arguments: {} } };
const JSON_TYPE = { "content-type": "application/json", accept: "application/json, text/event-stream" };

async function tokenOf(user: TestUser, limits: object = {}): Promise<{ id: string; token: string }> {
  return (await user.rest("POST", "/api/tokens", { label: "stream", ...limits })).json();
}

async function machineOf(
  user: TestUser,
  answer: { isEndless: true; headers?: Record<string, string> } | { isSilent: true },
): Promise<string> {
  await user.machine("attic");
  const planned = { headers: { "content-type": "text/event-stream" }, body: ": open\n\n", ...answer };
  await user.script("attic", { answers: { "GET /mcp": planned, "POST /mcp": planned } });
  return `/m/${await user.slug("attic")}/mcp`;
}

/** How long a response takes to end, with or without an error. */
async function endOf(response: Promise<Response>): Promise<"ended"> {
  try {
    const { body } = await response;
    for await (const _chunk of body ?? []);
  } catch {
    // a stream that is broken off has ended as well
  }
  return "ended";
}

async function within<Result>(ms: number, promise: Promise<Result>): Promise<Result | "still open"> {
  return Promise.race([promise, scheduler.wait(ms).then(() => "still open" as const)]);
}

type Opened = (token: string, user: TestUser) => Promise<Response>;

const OPENED: [string, Opened][] = [
  ["the event stream", async (token) => ask("/api/events", bearer(token))],
  [
    "a long-poll at /mcp",
    async (token) => {
      const headers = { ...JSON_TYPE, authorization: `Bearer ${token}` };
      return ask("/mcp", { method: "POST", headers, body: JSON.stringify(POLL) });
    },
  ],
  [
    "an event stream of a machine",
    async (token, user) => ask(await machineOf(user, { isEndless: true }), bearer(token)),
  ],
  [
    "a call of a machine's that has not been answered",
    async (token, user) => {
      const headers = { ...JSON_TYPE, authorization: `Bearer ${token}` };
      return ask(await machineOf(user, { isSilent: true }), { method: "POST", headers, body: JSON.stringify(CALL) });
    },
  ],
];

describe.each(OPENED)("%s ends", (_what, open) => {
  it("when its token is revoked", async () => {
    const user = new TestUser();
    const { id, token } = await tokenOf(user);
    const { id: other } = await tokenOf(user);
    const end = endOf(open(token, user));
    expect(await within(1_500, end)).toBe("still open");
    await user.rest("DELETE", `/api/tokens/${other}`);
    expect(await within(1_000, end)).toBe("still open");
    await user.rest("DELETE", `/api/tokens/${id}`);
    expect(await within(SOON_MS, end)).toBe("ended");
  });

  it("when its user is removed", async () => {
    const user = new TestUser();
    const { token } = await tokenOf(user);
    const end = endOf(open(token, user));
    expect(await within(1_500, end)).toBe("still open");
    await removePerson(user.id, env);
    expect(await within(SOON_MS, end)).toBe("ended");
  });
});

describe("a call that a machine has not answered", () => {
  it.each([
    ["at the machine's own address", (slug: string) => [`/m/${slug}/mcp`, CALL] as const],
    ["at /mcp", () => ["/mcp", toolCall("call_tool", { machineId: "attic", name: "echo", arguments: {} })] as const],
    ["with a key", () => ["/mcp", toolCall("send_prompt", { session_id: "attic/s1", text: "x", key: "k" })] as const],
  ])("%s is cancelled there when its token is revoked, and not before", async (_where, call) => {
    const user = new TestUser();
    await user.machine("attic");
    const { id, token } = await tokenOf(user);
    const { id: other } = await tokenOf(user);
    const [path, body] = call(await user.slug("attic"));
    const reached = Promise.withResolvers<AbortSignal>();
    const dispatched = vi.spyOn(env.DISPATCHER, "fetch").mockImplementation((request) => {
      const { signal } = request as Request;
      reached.resolve(signal);
      return new Promise((_, reject) => signal.addEventListener("abort", () => reject(new Error("cancelled"))));
    });
    onTestFinished(() => dispatched.mockRestore());
    const headers = { ...JSON_TYPE, authorization: `Bearer ${token}` };
    const answered = endOf(ask(path, { method: "POST", headers, body: JSON.stringify(body) }));
    const signal = await reached.promise;
    const cancelled = new Promise((resolve) => signal.addEventListener("abort", () => resolve("cancelled")));
    await user.rest("DELETE", `/api/tokens/${other}`);
    expect(signal.aborted).toBe(false);
    await user.rest("DELETE", `/api/tokens/${id}`);
    expect(await within(SOON_MS, cancelled)).toBe("cancelled");
    await answered;
  });
});

describe("a call that goes on, of a token limited to two machines,", () => {
  const params = { name: "call_tool", arguments: { machineId: "attic", name: "echo", arguments: {} } };
  const atMcp = { ...CALL, params: { ...params, _meta: { progressToken: "p" } } };
  const PROGRESS = {
    jsonrpc: "2.0",
    method: "notifications/progress",
    params: { progressToken: "p", progress: 1 },
  };
  const planned = {
    headers: { "content-type": "text/event-stream" },
    body: `data: ${JSON.stringify(PROGRESS)}\n\n`,
    isEndless: true,
  } as const;

  const PLACES = [
    ["at the machine's own address", (slug: string) => [`/m/${slug}/mcp`, CALL, {}] as const],
    ["at /mcp", () => ["/mcp", atMcp, { "mcp-protocol-version": "2025-11-25" }] as const],
    ["at /mcp, answered by the SDK", () => ["/mcp", atMcp, {}] as const],
  ] as const;

  /** The call, after its first progress notification. */
  async function begun(called: (slug: string) => readonly [string, object, object]) {
    const user = new TestUser();
    for (const name of ["attic", "mini"]) await user.machine(name);
    await user.script("attic", { answers: { "tools/call echo": planned, "POST /mcp": planned } });
    await user.script("loft");
    const { id, token } = await tokenOf(user, { machines: ["attic", "mini"] });
    const [path, body, more] = called(await user.slug("attic"));
    const headers = { ...JSON_TYPE, authorization: `Bearer ${token}`, ...more };
    const response = await ask(path, { method: "POST", headers, body: JSON.stringify(body) });
    expect(response.status).toBe(200);
    const text = response.text().catch(() => "cut off");
    expect(await within(1_500, text)).toBe("still open"); // then it is watched
    return { user, id, text };
  }

  it.each(PLACES)("%s does not end when the other one is renamed or removed", async (_where, called) => {
    const { user, id, text } = await begun(called);
    expect((await user.rest("PATCH", "/api/machines/mini", { name: "loft" })).ok).toBe(true);
    expect((await user.rest("DELETE", "/api/machines/loft")).ok).toBe(true);
    expect(await within(1_000, text)).toBe("still open");
    await user.rest("DELETE", `/api/tokens/${id}`);
    expect(await within(SOON_MS, text)).not.toBe("still open");
  });

  it.each(PLACES)("%s ends when another computer takes its machine over", async (_where, called) => {
    const { user, text } = await begun(called);
    await user.register("attic", { identity: "identity-of-another", replace: true });
    expect(await within(SOON_MS, text)).not.toBe("still open");
  });

  it.each(PLACES.slice(1))("%s says why it ends", async (_where, called) => {
    const { user, id, text } = await begun(called);
    await user.rest("DELETE", `/api/tokens/${id}`);
    const messages = String(await within(SOON_MS, text)).match(/(?<=^data: ).*/gm) ?? [];
    expect(messages.map((message): unknown => JSON.parse(message))).toMatchObject([
      { method: "notifications/progress" },
      { id: 1, result: { isError: true, structuredContent: { error: { code: "forbidden" } } } },
    ]);
  });

  it("in one batch with a call to the other one, ends when that is renamed", async () => {
    const other = { ...atMcp, id: 2, params: { ...params, arguments: { ...params.arguments, machineId: "mini" } } };
    const { user, text } = await begun(() => ["/mcp", [other, atMcp], {}]);
    await user.rest("PATCH", "/api/machines/mini", { name: "loft" });
    expect(await within(SOON_MS, text)).not.toBe("still open");
  });
});

describe("what sessions cost, while a machine has not answered", () => {
  it("is not told when the token was revoked meanwhile", async () => {
    const user = new TestUser();
    await user.machine("attic", { answers: { "tools/call get_observability": { isSilent: true, body: "" } } });
    await user.report("attic", {});
    const { id, token } = await tokenOf(user);
    const answered = ask("/api/costs", bearer(token));
    expect(await within(1_500, answered)).toBe("still open");
    await user.rest("DELETE", `/api/tokens/${id}`);
    expect((await answered).status).toBe(401);
  });
});

describe("an answer of a machine in JSON that never ends", () => {
  it("ends when its token is revoked, whether or not it announced a length", async () => {
    const user = new TestUser();
    const { id, token } = await tokenOf(user);
    const opened = [];
    for (const length of [{}, { "content-length": "1000000" }]) {
      const path = await machineOf(user, { isEndless: true, headers: { ...JSON_TYPE, ...length } });
      opened.push(await ask(path, bearer(token)));
    }
    expect(opened.map(({ status, headers }) => [status, headers.get("content-length")])).toEqual([
      [200, null],
      [200, "1000000"],
    ]);
    const end = Promise.all(opened.map((response) => endOf(Promise.resolve(response))));
    expect(await within(1_500, end)).toBe("still open");
    await user.rest("DELETE", `/api/tokens/${id}`);
    expect(await within(SOON_MS, end)).toEqual(["ended", "ended"]);
  });
});

describe("a stream opened with a sign-in ends", () => {
  it("when the user or the app itself revokes the app's access", async () => {
    const person = await Visitor.invited();
    const id = (await directory().people()).find(({ name }) => name === person.name)?.id ?? "";
    const client = await Client.registered();
    for (const by of ["user", "app"]) {
      const { access_token: access, refresh_token: refresh } = await client.signIn(person);
      const end = endOf(ask("/api/events", bearer(access)));
      expect(await within(1_500, end)).toBe("still open");
      if (by === "app") await tokenRequest({ token: refresh, token_type_hint: "refresh_token", client_id: client.id });
      else await new TestUser(id).rest("DELETE", `/api/grants/${access.split(":")[1]}`);
      expect([by, await within(SOON_MS, end)]).toEqual([by, "ended"]);
    }
  });

  it("and does not look again at its caller before that, however many codes and tokens are refused", async () => {
    const client = await Client.registered();
    const { refresh_token: refresh } = await client.signIn(await Visitor.invited());
    const looks = vi.spyOn(User.prototype, "revoked");
    onTestFinished(() => looks.mockRestore());
    const wrong = `${refresh.split(":", 2).join(":")}:wrong`;
    expect([(await client.redeem(wrong)).status, (await client.refresh(wrong)).status]).toEqual([400, 400]);
    expect(looks).not.toHaveBeenCalled();
    await tokenRequest({ token: refresh, client_id: client.id });
    expect(looks).toHaveBeenCalled();
  });

  it("when the revocation came at the moment of opening", async () => {
    const user = new TestUser();
    const { id, token } = await tokenOf(user);
    const response = await ask("/api/events", bearer(token));
    await user.rest("DELETE", `/api/tokens/${id}`);
    expect(await within(SOON_MS, endOf(Promise.resolve(response)))).toBe("ended");
  });
});

describe("a stream of a token limited to a machine ends", () => {
  it.each([
    ["is removed", (user: TestUser) => user.rest("DELETE", "/api/machines/attic")],
    ["is taken over", (user: TestUser) => user.register("attic", { identity: "identity-of-another", replace: true })],
  ])("when that machine %s, before another one can have its name", async (_what, change) => {
    const user = new TestUser();
    await user.machine("attic");
    const { token } = await tokenOf(user, { machines: ["attic"] });
    const end = endOf(ask("/api/events", bearer(token)));
    expect(await within(1_500, end)).toBe("still open");
    expect((await change(user)).ok).toBe(true);
    expect(await within(SOON_MS, end)).toBe("ended");
  });
});
