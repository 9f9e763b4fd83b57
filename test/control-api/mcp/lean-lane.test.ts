import { describe, expect, it } from "vitest";
import { CallCancelled } from "../../../control-api/src/mcp/cancellation.ts";
import { leanCall } from "../../../control-api/src/mcp/lean-lane.ts";
import { TestUser } from "../support/operator.ts";

const VERSION = "mcp-protocol-version";

type Lane = "short way" | "SDK's handler";

/** The answer's messages. The same message goes through the SDK's handler when it names no revision in its headers. */
async function ask(
  user: TestUser,
  lane: Lane,
  message: object,
  more: Record<string, string> = {},
): Promise<{ type: string; status: number; messages: unknown[] }> {
  const body = JSON.stringify({ jsonrpc: "2.0", id: 7, ...message });
  const headers = {
    "content-type": "application/json",
    accept: "application/json, text/event-stream",
    "content-length": String(new TextEncoder().encode(body).length),
    ...(lane === "short way" ? { [VERSION]: "2025-11-25" } : {}),
    ...more,
  };
  const response = await user.fetch("/mcp", { method: "POST", headers, body });
  const type = response.headers.get("content-type") ?? "";
  const text = await response.text();
  const messages = type.startsWith("text/event-stream")
    ? text.split("\n").flatMap((line) => (line.startsWith("data: ") ? [JSON.parse(line.slice(6))] : []))
    : [JSON.parse(text)];
  return { type, status: response.status, messages };
}

const called = (name: string, args?: unknown, more: object = {}) => ({
  method: "tools/call",
  params: { name, ...(args === undefined ? {} : { arguments: args }), ...more },
});

function answering(result: unknown): { headers: Record<string, string>; body: string } {
  return {
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ jsonrpc: "2.0", id: "operator-1", ...(result as object) }),
  };
}

const read = called("call_tool", { machineId: "attic", name: "read" });

describe("the short way answers like the SDK's handler:", () => {
  it.each<[string, object]>([
    ["the list of tools", { method: "tools/list" }],
    ["the list of tools, with parameters", { method: "tools/list", params: { cursor: "x", _meta: { a: 1 } } }],
    ["a tool of ours", called("list_machines")],
    ["a tool of ours with arguments", called("list_machines", {})],
    ["a tool that does not exist", called("no_such_tool", {})],
    ["arguments that are missing", called("call_tool", { machineId: "attic" })],
    ["a machine that does not exist", called("call_tool", { machineId: "cellar", name: "read" })],
    ["an id that is text", { id: "seven", ...called("list_machines") }],
    ["a request with _meta", called("list_machines", {}, { _meta: { "example.com/a": 1 } })],
    ["a request with a progress token and no progress", called("list_machines", {}, { _meta: { progressToken: 0 } })],
  ])("%s", async (_, message) => {
    const alice = new TestUser();
    await alice.machine("attic");
    const [lean, sdk] = [await ask(alice, "short way", message), await ask(alice, "SDK's handler", message)];
    expect(lean).toMatchObject({ type: "application/json", status: 200 });
    expect(sdk.type).toBe("text/event-stream");
    expect(lean.messages).toEqual(sdk.messages);
  });

  it.each<[string, object]>([
    ["content of several kinds", { result: { content: [{ type: "text", text: "a" }], structuredContent: { a: [1] } } }],
    ["an error of the tool", { result: { isError: true, content: [{ type: "text", text: "no" }] } }],
    ["a result without content", { result: { structuredContent: { a: 1 } } }],
    ["a JSON-RPC error", { error: { code: -32_050, message: "too hot", data: { celsius: 90 } } }],
    ["a JSON-RPC error that 2025 knows by another code", { error: { code: -32_002, message: "not found" } }],
    ["an unknown tool", { error: { code: -32_602, message: "Unknown tool: read" } }],
  ])("a machine's %s", async (_, result) => {
    const alice = new TestUser();
    await alice.machine("attic", { answers: { "tools/call read": answering(result) } });
    const [lean, sdk] = [await ask(alice, "short way", read), await ask(alice, "SDK's handler", read)];
    expect(lean.type).toBe("application/json");
    expect(lean.messages).toEqual(sdk.messages);
  });

  it("a machine's progress, as an event stream", async () => {
    const alice = new TestUser();
    const params = { progressToken: "operator-1", progress: 1, total: 2 };
    const events = [
      { jsonrpc: "2.0", method: "notifications/progress", params },
      { jsonrpc: "2.0", id: "operator-1", result: { content: [{ type: "text", text: "done" }] } },
    ];
    const body = events.map((event) => `event: message\ndata: ${JSON.stringify(event)}\n\n`).join("");
    await alice.machine("attic", {
      answers: { "tools/call read": { headers: { "content-type": "text/event-stream" }, body } },
    });
    const message = { method: "tools/call", params: { ...read.params, _meta: { progressToken: "mine" } } };
    const [lean, sdk] = [await ask(alice, "short way", message), await ask(alice, "SDK's handler", message)];
    expect(lean.messages).toHaveLength(2);
    expect(lean).toEqual(sdk);
  });
});

it("the short way sends no answer to a call that its client has cancelled (MCP 2025-11-25, Cancellation)", async () => {
  const response = await leanCall(7, () => Promise.reject(new CallCancelled()));
  expect(response.headers.get("content-type")).toBe("text/event-stream");
  expect(await response.text()).toBe("");
});

describe("the short way leaves to the SDK's handler", () => {
  it.each<[string, object, Record<string, string>?]>([
    ["a client that takes no event stream", called("list_machines"), { accept: "application/json" }],
    ["a revision that it does not know", called("list_machines"), { [VERSION]: "2024-01-01" }],
    ["a revision that says of itself what it is", called("list_machines"), { [VERSION]: "2026-07-28" }],
    ["parameters that are a list", { method: "tools/call", params: [] }],
    ["a name that is no text", called(7 as never)],
    ["arguments that are a list", called("list_machines", [])],
    ["parameters that it does not know", called("list_machines", {}, { task: { ttl: 1 } })],
    ["an invalid progress token", called("list_machines", {}, { _meta: { progressToken: {} } })],
    ["an invalid id", { id: 1.5, ...called("list_machines") }],
    ["another version of JSON-RPC", { jsonrpc: "1.0", ...called("list_machines") }],
    ["another method", { method: "ping" }],
    [
      "a request whose _meta is of a later revision than its header",
      called("list_machines", {}, { _meta: { "io.modelcontextprotocol/protocolVersion": "2026-07-28" } }),
    ],
  ])("%s", async (_, message, headers) => {
    const alice = new TestUser();
    const lean = await ask(alice, "short way", message, headers);
    const sdk = await ask(alice, "SDK's handler", message, headers);
    // The handler's refusals are JSON as well, but never a result.
    const isItsOwn =
      lean.type.startsWith("text/event-stream") || lean.messages.every((one) => !("result" in (one as object)));
    expect(isItsOwn).toBe(true);
    expect(lean.messages).toEqual(sdk.messages);
  });
});
