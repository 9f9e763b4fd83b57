import { request } from "node:http";
import { afterAll, beforeAll, expect, test } from "vitest";
import { TestMachine } from "./support/machine.ts";

let machine: TestMachine;

beforeAll(async () => {
  machine = await TestMachine.start();
});
afterAll(() => machine[Symbol.asyncDispose]());

const LIST = JSON.stringify({ jsonrpc: "2.0", id: 1, method: "tools/list", params: {} });
const ACCEPT = { accept: "application/json, text/event-stream", "content-type": "application/json" };

/** A request with any Host and Origin, which `fetch` does not allow. */
function ask(headers: Record<string, string>, { method = "POST", path = "/mcp", body = LIST } = {}) {
  return new Promise<{ status: number; headers: Record<string, unknown>; text: string }>((resolve, reject) => {
    const outgoing = request(
      new URL(path, machine.url),
      { method, agent: false, headers: { ...ACCEPT, ...machine.authorization, ...headers } },
      (incoming) => {
        let text = "";
        incoming.setEncoding("utf8").on("data", (chunk: string) => (text += chunk));
        incoming.on("end", () => resolve({ status: incoming.statusCode ?? 0, headers: incoming.headers, text }));
      },
    );
    outgoing.on("error", reject);
    outgoing.end(method === "POST" ? body : undefined);
  });
}

test("a plain tools/list needs no handshake", async () => {
  const answer = await ask({});
  expect(answer.status).toBe(200);
  expect(answer.text).toContain("create_session");
});

test.each([
  { name: "a rebound host name", headers: { host: "evil.example:4097" } },
  { name: "a page of another site", headers: { origin: "https://evil.example" } },
  { name: "a page on another port of loopback", headers: { origin: "http://localhost:6274" } },
  { name: "an opaque origin", headers: { origin: "null" } },
])("$name is refused", async ({ headers }) => {
  const answer = await ask(headers);
  expect(answer.status).toBe(403);
  expect(answer.text).not.toContain("create_session");
});

test("a session of the older revision can be opened, used and closed, and is then unknown", async () => {
  const params = { protocolVersion: "2025-11-25", capabilities: {}, clientInfo: { name: "raw", version: "1" } };
  const body = JSON.stringify({ jsonrpc: "2.0", id: 0, method: "initialize", params });
  const session = String((await ask({}, { body })).headers["mcp-session-id"]);
  expect(session).toMatch(/^[0-9a-f-]{36}$/);
  const own = { "mcp-session-id": session, "mcp-protocol-version": "2025-11-25" };
  expect((await ask(own)).status).toBe(200);
  expect((await ask(own, { method: "DELETE" })).status).toBe(200);
  expect((await ask(own)).status).toBe(404);
  expect((await ask(own, { method: "GET" })).status).toBe(404);
  expect((await ask({}, { method: "GET" })).status).toBe(405);
});

test("invalid JSON and oversized bodies get an answer instead of a closed connection", async () => {
  expect((await ask({}, { body: "{" })).status).toBe(400);
  const large = JSON.stringify({
    jsonrpc: "2.0",
    id: 1,
    method: "tools/call",
    params: { x: "x".repeat(33 * 1024 * 1024) },
  });
  const answer = await ask({}, { body: large }).catch((error: unknown) => ({ status: String(error) }));
  // The answer may come while the client is still sending, which some clients see as a broken pipe.
  expect([413, "Error: write EPIPE", "Error: read ECONNRESET"]).toContain(answer.status);
  expect((await ask({})).status).toBe(200);
});

test("only /mcp exists, and the machine's own endpoint needs its owner's token", async () => {
  expect((await ask({}, { path: "/" })).status).toBe(404);
  expect((await ask({}, { path: "/mcp/../mcp2" })).status).toBe(404);
  expect((await ask({}, { method: "GET", path: "/local/permissions" })).status).toBe(401);
  const wrong = { authorization: `Bearer ${"x".repeat(43)}` };
  expect((await ask(wrong, { method: "GET", path: "/local/permissions" })).status).toBe(401);
});
