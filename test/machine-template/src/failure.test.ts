import { afterEach, describe, expect, it } from "vitest";
import { encodeFrame, FrameKind } from "#protocol/frame.ts";
import { ask, forget, TestConnector } from "./support/connector.ts";

afterEach(forget);

const post = (message: unknown): Promise<Response> =>
  ask("/mcp", { method: "POST", body: typeof message === "string" ? message : JSON.stringify(message) });

describe("an error in place of a machine's answer", () => {
  it("has the id of the request it stands for, whatever its type", async () => {
    for (const id of [0, -7, "abc", ""]) {
      const response = await post({ jsonrpc: "2.0", id, method: "ping" });
      expect(response.status).toBe(503);
      expect(response.headers.get("content-type")).toBe("application/json");
      expect(response.headers.get("x-operator-error")).toBe("machine_offline");
      expect(await response.json()).toMatchObject({
        jsonrpc: "2.0",
        id,
        error: { code: -32_000, data: { code: "machine_offline" } },
      });
    }
  });

  it("is a batch for a batch, with one error for each request and none for notifications and responses", async () => {
    const response = await post([
      { jsonrpc: "2.0", id: 1, method: "tools/list" },
      { jsonrpc: "2.0", method: "notifications/progress" },
      { jsonrpc: "2.0", id: "two", method: "ping" },
      { jsonrpc: "2.0", id: 3, result: {} },
    ]);
    const errors: { id: unknown; error: { data: { code: string } } }[] = await response.json();
    expect(errors.map(({ id, error }) => [id, error.data.code])).toEqual([
      [1, "machine_offline"],
      ["two", "machine_offline"],
    ]);
  });

  it.each([
    ["a notification", { jsonrpc: "2.0", method: "notifications/cancelled" }],
    ["an empty batch", []],
    ["what is no JSON", "{"],
    ["an id that JSON-RPC does not allow", { jsonrpc: "2.0", id: { a: 1 }, method: "ping" }],
    ["no object at all", "null"],
  ])("has no id for %s", async (_, message) => {
    expect(await (await post(message)).json()).toMatchObject({
      id: null,
      error: { data: { code: "machine_offline" } },
    });
  });

  it("is sent in a cut event stream for each request of a batch, after the unfinished event", async () => {
    const connector = await TestConnector.greeted();
    const asked = post([
      { jsonrpc: "2.0", id: 1, method: "x" },
      { jsonrpc: "2.0", id: 2, method: "x" },
    ]);
    const { exchange } = await connector.request();
    connector.respond(
      exchange,
      { headers: [["content-type", "text/event-stream; charset=utf-8"]] },
      'data: {"id":1,"res',
      false,
    );
    const stream = await asked;
    connector.socket.close(1001, "going");
    const events = (await stream.text()).split("\n\n").filter((event) => event !== "");
    expect(events[0]).toBe('data: {"id":1,"res');
    const words = events.slice(1).map((event) => JSON.parse(event.replace(/^event: message\ndata: /, "")));
    expect(words).toMatchObject([{ id: 1, error: { data: { code: "link_lost" } } }, { id: 2 }]);
    expect(words).toHaveLength(2);
  });

  it.each(["its server ends it", "the link is lost"])(
    "has an end mark for a gate that asks for one, when %s",
    async (how) => {
      const connector = await TestConnector.greeted();
      const body = JSON.stringify({ jsonrpc: "2.0", id: 1, method: "x" });
      const headers = { "content-length": String(body.length), "x-operator-mark-end": "1" };
      const asked = ask("/mcp", { method: "POST", headers, body });
      const { exchange } = await connector.request();
      connector.respond(exchange, { headers: [["content-type", "text/event-stream"]] }, "data: 1\n\n", false);
      const stream = await asked;
      expect(stream.headers.get("x-operator-mark-end")).toBe("1");
      if (how === "the link is lost") connector.socket.close(1001, "going");
      else connector.socket.send(encodeFrame({ kind: FrameKind.BODY, exchange, end: true, body: new Uint8Array(0) }));
      const text = await stream.text();
      expect(text).toMatch(/^data: 1\n\n/);
      expect([text.indexOf("\u0003"), text.includes("link_lost")]).toEqual([
        text.length - 1,
        how === "the link is lost",
      ]);
    },
  );

  it("is not appended to the stream of a GET, which just breaks off", async () => {
    const connector = await TestConnector.greeted();
    const asked = ask("/mcp", { headers: { accept: "text/event-stream" } });
    const { exchange } = await connector.request();
    connector.respond(exchange, { headers: [["content-type", "text/event-stream"]] }, ": hello\n\n", false);
    const stream = await asked;
    connector.socket.close(1001, "going");
    await expect(stream.text()).rejects.toThrow();
  });

  it("is not appended to other bodies, which break off so that they do not look complete", async () => {
    const connector = await TestConnector.greeted();
    const asked = post({ jsonrpc: "2.0", id: 1, method: "x" });
    const { exchange } = await connector.request();
    connector.respond(exchange, { headers: [["content-type", "application/json"]] }, '{"jsonrpc"', false);
    const stream = await asked;
    connector.socket.close(1001, "going");
    await expect(stream.text()).rejects.toThrow();
  });
});
