import { describe, expect, it } from "vitest";
import { TEMPLATE } from "../../../control-api/src/machines/provisioning.ts";
import { MODERN, TestUser } from "../support/operator.ts";

const JSON_RPC = { "content-type": "application/json", accept: "application/json, text/event-stream" };

async function post(user: TestUser, message: unknown, headers: Record<string, string> = {}): Promise<Response> {
  const body = typeof message === "string" ? message : JSON.stringify(message);
  return user.fetch("/mcp", { method: "POST", headers: { ...JSON_RPC, ...headers }, body });
}

describe.each(["2025-11-25", "2025-06-18", "2025-03-26"])("a client of %s", (revision) => {
  it("is answered in its own revision, without contacting a machine", async () => {
    const alice = new TestUser();
    await alice.machine("attic");
    const params = { protocolVersion: revision, capabilities: {}, clientInfo: { name: "test", version: "1" } };
    const { answer } = await alice.rpc("initialize", params, revision);
    expect(answer.result).toMatchObject({
      protocolVersion: revision,
      capabilities: { tools: {} },
      serverInfo: { name: "operator", version: TEMPLATE },
      instructions: expect.stringContaining("list_machines"),
    });
    const initialized = await post(
      alice,
      { jsonrpc: "2.0", method: "notifications/initialized" },
      { "mcp-protocol-version": revision },
    );
    expect(initialized.status).toBe(202);
    expect(await alice.reached("attic")).toEqual([]);
  });

  it("calls tools", async () => {
    const alice = new TestUser();
    await alice.machine("attic");
    const result = await alice.tool("list_machines", {}, revision);
    expect(result.structuredContent).toMatchObject({ machines: [{ name: "attic" }] });
  });

  it("gets an answer to a ping", async () => {
    expect((await new TestUser().rpc("ping", {}, revision)).answer.result).toEqual({});
  });
});

describe("a client of 2026-07-28", () => {
  it("discovers the tools without a handshake and without contacting a machine", async () => {
    const alice = new TestUser();
    await alice.machine("attic");
    const { answer } = await alice.rpc("server/discover");
    expect(answer.result).toMatchObject({
      supportedVersions: expect.arrayContaining([MODERN]),
      capabilities: { tools: {} },
      instructions: expect.stringContaining("list_machines"),
      ttlMs: 24 * 60 * 60_000,
    });
    expect(await alice.reached("attic")).toEqual([]);
  });

  it("calls tools without a session", async () => {
    const alice = new TestUser();
    await alice.machine("attic");
    expect((await alice.tool("list_machines")).structuredContent).toMatchObject({ machines: [{ name: "attic" }] });
  });

  it("is refused if its headers contradict its request", async () => {
    const alice = new TestUser();
    const _meta = {
      "io.modelcontextprotocol/protocolVersion": MODERN,
      "io.modelcontextprotocol/clientInfo": { name: "t", version: "1" },
      "io.modelcontextprotocol/clientCapabilities": {},
    };
    const message = {
      jsonrpc: "2.0",
      id: 1,
      method: "tools/call",
      params: { name: "list_machines", arguments: {}, _meta },
    };
    const response = await post(alice, message, { "mcp-protocol-version": MODERN, "mcp-method": "tools/list" });
    expect(response.status).toBe(400);
    expect(await response.text()).toContain('"error"');
  });
});

describe("an invalid request", () => {
  it.each([
    ["no JSON", "{", -32_700],
    ["no JSON-RPC", "{}", -32_600],
  ])("gets JSON-RPC's own error: %s", async (_, body, code) => {
    const alice = new TestUser();
    for (const headers of [{}, { "content-length": String(body.length) }] as Record<string, string>[]) {
      const response = await post(alice, body, headers);
      expect(response.status).toBe(400);
      expect(await response.json()).toMatchObject({ error: { code } });
    }
  });

  it("gets a JSON-RPC error for an unknown tool, in both eras", async () => {
    for (const revision of [MODERN, "2025-11-25"]) {
      const { answer } = await new TestUser().rpc("tools/call", { name: "no_such_tool", arguments: {} }, revision);
      expect(answer.error).toMatchObject({ code: -32_602, message: expect.stringContaining("no_such_tool") });
    }
  });

  it("gets a JSON-RPC error for an unknown method", async () => {
    const { answer } = await new TestUser().rpc("prompts/list");
    expect(answer.error?.code).toBe(-32_601);
  });

  it("is refused if its content type is not JSON", async () => {
    const response = await new TestUser().fetch("/mcp", {
      method: "POST",
      headers: { ...JSON_RPC, "content-type": "text/plain" },
      body: "{}",
    });
    expect(response.status).toBe(415);
  });

  it("is refused if it is too large, whether it states its length or not", async () => {
    const alice = new TestUser();
    const body = JSON.stringify({
      jsonrpc: "2.0",
      id: 1,
      method: "ping",
      params: { large: "x".repeat(17 * 1024 * 1024) },
    });
    for (const headers of [{}, { "content-length": String(body.length) }] as Record<string, string>[])
      expect((await post(alice, body, headers)).status).toBe(413);
  });
});

describe("the endpoint", () => {
  it("keeps apart the users who share an isolate", async () => {
    const users = [new TestUser(), new TestUser(), new TestUser()];
    await Promise.all(users.map((user, index) => user.machine(`machine-${index}`)));
    const lists = await Promise.all(users.map((user) => user.tool("list_machines")));
    lists.forEach(({ structuredContent }, index) => {
      const { machines } = structuredContent as { machines: { name: string }[] };
      expect(machines.map(({ name }) => name)).toEqual([`machine-${index}`]);
    });
  });

  it("passes on numbers that JavaScript cannot represent, because text stays text", async () => {
    const alice = new TestUser();
    const text = '{"n":12345678901234567890,  "spaced": true}';
    const answer = {
      body: JSON.stringify({ jsonrpc: "2.0", id: "x", result: { content: [{ type: "text", text }] } }),
      headers: { "content-type": "application/json" },
    };
    await alice.machine("attic", { answers: { "tools/call read": answer } });
    const result = await alice.tool("call_tool", { machineId: "attic", name: "read" });
    expect(result.content).toEqual([{ type: "text", text }]);
  });
});
