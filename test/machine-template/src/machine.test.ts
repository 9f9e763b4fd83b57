import { SELF } from "cloudflare:test";
import { afterEach, describe, expect, it } from "vitest";
import { CloseCode } from "#protocol/close-code.ts";
import type { LoggedEvent } from "#protocol/event.ts";
import { EVENT_PAGE_ROWS } from "#protocol/limits.ts";
import { app as dispatchWorker } from "../../../dispatch-worker/src/app.ts";
import type { Env as DispatchEnv } from "../../../dispatch-worker/src/env.ts";
import { ask, dial, forget, knock, page, state, TestConnector, within } from "./support/connector.ts";

afterEach(forget);

describe("the script", () => {
  it("is assembled by its entry: the owner is let in, others are not, and the Durable Object answers", async () => {
    const headers = { "x-operator-caller": "owner" };
    expect((await SELF.fetch("http://machine/operator/state", { headers })).status).toBe(200);
    expect((await SELF.fetch("http://machine/operator/state")).status).toBe(404);
  });

  it.each(["/", "/mcp/", "/mcp/..", "/operator", "/operator/state/", "//mcp", "/MCP", "/%6dcp"])(
    "serves nothing at %s",
    async (path) => {
      await TestConnector.greeted();
      const response = await knock(path, { headers: { "x-operator-caller": "owner" } });
      expect(response.status).toBe(404);
      expect(await response.json()).toMatchObject({ error: { code: "not_found" } });
    },
  );

  it.each([
    ["/operator/call", "not json"],
    ["/operator/call", "{}"],
    ["/operator/close", "not json"],
    ["/operator/close", JSON.stringify({ code: 1000, reason: "because" })],
    ["/operator/close", JSON.stringify({ code: CloseCode.REVOKED })],
    ["/operator/close", "null"],
    ["/operator/log", "not json"],
    ["/operator/log", "{}"],
    ["/operator/log", '[{"seq":1}]'],
  ])("refuses an invalid POST to %s: %s", async (path, body) => {
    const connector = await TestConnector.greeted();
    const response = await ask(path, { method: "POST", body });
    expect(response.status).toBe(400);
    expect(await response.json()).toMatchObject({ error: { code: "invalid_request" } });
    expect(connector.closed).toBeNull();
    expect(await state()).toMatchObject({ online: true });
  });
});

describe("a stranger at the link", () => {
  /** The dispatch Worker, in front of a namespace that has this one machine. */
  async function knockFromOutside(machine: string, headers: Record<string, string>): Promise<Response> {
    const DISPATCH = {
      get: (slug: string) => ({
        fetch: (request: Request) => {
          if (slug !== "attic") return Promise.reject(new Error("Worker not found."));
          return knock(new URL(request.url).pathname, { headers: request.headers });
        },
      }),
    };
    const env = { DISPATCH, DISPATCH_SECRET: "gate-secret", DOMAIN: "localhost" } as unknown as DispatchEnv;
    return dispatchWorker.fetch(new Request(`http://localhost/m/${machine}/link`, { headers }), env);
  }

  async function bytesOf(response: Response): Promise<unknown> {
    return { status: response.status, headers: [...response.headers], body: await response.text() };
  }

  it.each<[string, Record<string, string>]>([
    ["nothing", {}],
    ["an upgrade without a token", { upgrade: "websocket" }],
    ["an upgrade with a wrong token", { upgrade: "websocket", authorization: "Bearer opl_wrong" }],
    ["an upgrade with what is no token", { upgrade: "websocket", authorization: "Basic YTpi" }],
    ["a wrong token but no upgrade", { authorization: "Bearer opl_wrong" }],
  ])("who brings %s cannot tell a machine that exists from one that does not", async (_, headers) => {
    await TestConnector.greeted();
    const known = await bytesOf(await knockFromOutside("attic", headers));
    expect(known).toMatchObject({ status: 401 });
    expect(known).toEqual(await bytesOf(await knockFromOutside("cellar", headers)));
  });

  it("who has the right token may read the machine's presence without a link, and nothing else", async () => {
    await TestConnector.greeted();
    const own = await knockFromOutside("attic", { authorization: "Bearer link-token" });
    expect(own.status).toBe(200);
    expect(await own.json()).toMatchObject({ online: true, facts: { hostname: "attic.lan" } });
    for (const method of ["POST", "DELETE", "HEAD"])
      expect((await knock("/link", { method, headers: { authorization: "Bearer link-token" } })).status).toBe(401);
    expect((await knock("/operator/state", { headers: { authorization: "Bearer link-token" } })).status).toBe(404);
  });

  it("who has the right token counts as the machine", async () => {
    expect((await dial("link-token")).status).toBe(101);
  });
});

describe("a socket that closes", () => {
  it.each<[string, number, unknown[][]]>([
    ["with a code is answered with that code", 4001, [[4001]]],
    ["without a code is answered without one", 1005, [[]]],
    ["because its transport is gone is not answered", 1006, []],
    ["because TLS failed is not answered", 1015, []],
  ])("%s", async (_, code, answered) => {
    const calls = await within((machine) => {
      const closed: unknown[][] = [];
      const socket = { close: (...said: unknown[]) => closed.push(said), deserializeAttachment: () => null };
      machine.webSocketClose(socket as unknown as WebSocket, code);
      return closed;
    });
    expect(calls).toEqual(answered);
  });
});

describe("a machine that gets another name", () => {
  it("keeps its log: all of it, in order, under a new epoch", async () => {
    const connector = await TestConnector.greeted();
    await connector.push(1, [
      { type: "session.created", session: "s1", atMs: 5, data: { a: 1 } },
      { type: "message", session: "s1", atMs: 6, data: null },
    ]);
    const before = await page();
    const moved: LoggedEvent[] = await (await ask("/operator/log")).json();
    expect(moved.map(({ type }) => type)).toEqual(["machine.online", "session.created", "message"]);
    await forget(); // the script of another name has a Durable Object of its own
    expect((await ask("/operator/log", { method: "POST", body: JSON.stringify(moved) })).status).toBe(204);
    const after = await page();
    expect(after.position.epoch).not.toBe(before.position.epoch);
    const { events, gap } = await page({ ...after.position, seq: 0 });
    expect(gap).toBe(false);
    expect(events).toEqual(moved);
    expect((await state()).sessions).toEqual([{ id: "s1", firstMs: 5, lastMs: 6, lastType: "message" }]);
  });

  it("sends its log in pages, of which the last is empty", async () => {
    const events = Array.from({ length: EVENT_PAGE_ROWS + 1 }, (_, at) => ({
      seq: at + 1,
      atMs: 1,
      type: "t",
      session: null,
      data: null,
    }));
    expect((await ask("/operator/log", { method: "POST", body: JSON.stringify(events) })).status).toBe(204);
    const lengths: number[] = [];
    for (let after = 0, isEnd = false; !isEnd;) {
      const copied: LoggedEvent[] = await (await ask(`/operator/log?after=${after}`)).json();
      lengths.push(copied.length);
      after = copied.at(-1)?.seq ?? after;
      isEnd = copied.length === 0;
    }
    expect(lengths).toEqual([EVENT_PAGE_ROWS, 1, 0]);
  });

  it("continues its log with the same epoch, numbers and positions of each connector", async () => {
    const connector = await TestConnector.greeted("stream");
    await connector.push(1, [{ data: "a" }, { data: "b" }]);
    const before = await page();
    const numbers = await (await ask("/operator/log?numbers")).text();
    const events = await (await ask("/operator/log")).text();
    await forget();
    for (const body of [numbers, events, events, numbers])
      expect((await ask("/operator/log", { method: "POST", body })).status).toBe(204);
    const moved = await page({ ...before.position, seq: 0 });
    expect(moved.events.map(({ seq, data }) => [seq, data])).toEqual([
      [1, { epoch: 1 }],
      [2, "a"],
      [3, "b"],
    ]);
    const again = await TestConnector.greeted("stream");
    expect((await again.word("welcome")).acked).toBe(2);
    await again.push(2, [{ data: "b" }, { data: "c" }]);
    const after = await page(before.position);
    expect(after.events.map(({ data }) => data)).toEqual([{ epoch: 1 }, "c"]);
    // The script of the old name may go on counting until its link is closed. No number may stand for two events.
    expect(after.events[0]?.seq).toBeGreaterThan(before.position.seq + 100);
  });
});
