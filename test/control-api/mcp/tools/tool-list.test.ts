import { describe, expect, it } from "vitest";
import { CODING_TOOLS } from "#protocol/coding-tools.ts";
import { inputSchemaOf } from "#protocol/coding-tools/coding-tool.ts";
import { MODERN, TestUser } from "../../support/operator.ts";
import { CODEZ_TOOLS } from "../support/codez-tools.ts";

type Tool = {
  name: string;
  title: string;
  description: string;
  inputSchema: {
    type: string;
    properties: Record<string, { type: string; enum?: string[]; description?: string }>;
    required?: string[];
  };
  annotations: Record<string, boolean>;
};

async function toolsOf(user: TestUser, revision = MODERN): Promise<Tool[]> {
  const { answer } = await user.rpc("tools/list", {}, revision);
  return (answer.result?.["tools"] as Tool[] | undefined) ?? [];
}

/** The additional parameters of a tool that works over all machines. */
const OF_ALL_MACHINES: Record<string, readonly string[]> = {
  poll_events: ["project", "type"],
  list_sessions: ["state"],
  list_pending: ["cursor"],
  send_prompt: ["on_offline", "ttl_ms"],
  create_session: ["on_offline", "ttl_ms"],
};

/** The answer's bytes. */
async function listBytes(user: TestUser): Promise<string> {
  const headers = {
    "content-type": "application/json",
    accept: "application/json, text/event-stream",
    "mcp-protocol-version": MODERN,
    "mcp-method": "tools/list",
  };
  const _meta = {
    "io.modelcontextprotocol/protocolVersion": MODERN,
    "io.modelcontextprotocol/clientInfo": { name: "test", version: "1" },
    "io.modelcontextprotocol/clientCapabilities": {},
  };
  const body = JSON.stringify({ jsonrpc: "2.0", id: 1, method: "tools/list", params: { _meta } });
  return (await user.fetch("/mcp", { method: "POST", headers, body })).text();
}

describe("the tool list", () => {
  it("is byte for byte the same for everybody, whatever machines they have and whatever is online, and contacts no machine", async () => {
    const [alice, bob] = [new TestUser(), new TestUser()];
    const empty = await listBytes(alice);
    expect(empty).toContain("list_machines");
    await alice.machine("belfry");
    await alice.report("belfry", { online: true });
    await alice.machine("undercroft", { fails: { code: "machine_failed", machine: "undercroft", reason: "broken" } });
    expect(await listBytes(alice)).toBe(empty);
    expect(await listBytes(bob)).toBe(empty);
    expect(empty).not.toContain("belfry");
    expect(await alice.reached("belfry")).toEqual([]);
  });

  it("is the same in every revision", async () => {
    const alice = new TestUser();
    const modern = await toolsOf(alice);
    for (const revision of ["2025-11-25", "2025-06-18", "2025-03-26"])
      expect(await toolsOf(alice, revision)).toEqual(modern);
  });

  it("may be cached by clients for the time that it states", async () => {
    const { answer } = await new TestUser().rpc("tools/list");
    expect(answer.result).toMatchObject({ ttlMs: 24 * 60 * 60_000, cacheScope: "public" });
  });

  it("has names that every client accepts, each once", async () => {
    const names = (await toolsOf(new TestUser())).map(({ name }) => name);
    expect(new Set(names).size).toBe(names.length);
    for (const name of names) expect(name).toMatch(/^[a-zA-Z0-9_-]{1,64}$/);
  });

  it("describes each tool and its effects, and each parameter that is not self-explanatory", async () => {
    for (const { name, title, description, annotations, inputSchema } of await toolsOf(new TestUser())) {
      expect(title, name).toBeTruthy();
      expect(description.length, name).toBeGreaterThan(20);
      for (const hint of ["readOnlyHint", "destructiveHint", "openWorldHint"])
        expect(typeof annotations[hint], `${name} ${hint}`).toBe("boolean");
      if (annotations["readOnlyHint"] === false) expect(typeof annotations["idempotentHint"], name).toBe("boolean");
      expect(inputSchema.type, name).toBe("object");
      for (const [parameter, { description: says, enum: values }] of Object.entries(inputSchema.properties))
        expect(values ?? says, `${name}.${parameter}`).toBeTruthy();
    }
  });

  it("costs a model at most 20 KB", async () => {
    const tools = await toolsOf(new TestUser());
    expect(new TextEncoder().encode(JSON.stringify({ tools })).length).toBeLessThan(20 * 1024);
  });

  it("marks exactly the tools that only read as read-only", async () => {
    const tools = await toolsOf(new TestUser());
    const acting = tools.filter(({ annotations }) => annotations["readOnlyHint"] !== true).map(({ name }) => name);
    expect(acting.toSorted()).toEqual(
      ["abort_session", "call_tool", "create_session", "dispose_session", "fork_session", "get_delivery", "respond_permission", "send_and_wait", "send_prompt", "update_state"],
    ); // prettier-ignore
  });

  it("has Operator's own tools", async () => {
    const byName = new Map((await toolsOf(new TestUser())).map((tool) => [tool.name, tool]));
    for (const name of [
      "list_machines",
      "get_machine",
      "poll_events",
      "list_tools",
      "call_tool",
      "list_resources",
      "list_resource_templates",
      "read_resource",
      "list_prompts",
      "get_prompt",
    ])
      expect(byName.has(name), name).toBe(true);
    expect(byName.get("call_tool")?.inputSchema).toMatchObject({
      required: ["machineId", "name"],
      properties: { arguments: { type: "object" } },
    });
  });

  it.each(Object.entries(CODEZ_TOOLS))("has CodeZ's %s with all its parameters, and machineId", async (name, codez) => {
    const tool = (await toolsOf(new TestUser())).find((one) => one.name === name);
    expect(tool?.inputSchema.properties).toMatchObject(codez.properties);
    expect(tool?.inputSchema.properties["machineId"]).toMatchObject({ type: "string" });
    // What CodeZ's clients leave out today they can go on leaving out; a handle stands for its machine.
    const byHandle = "session_id" in codez.properties || name === "poll_events";
    expect([...codez.required, ...(byHandle ? [] : ["machineId"])]).toEqual(
      expect.arrayContaining(tool?.inputSchema.required ?? []),
    );
  });

  it.each(Object.values(CODING_TOOLS))("has $name as on coding machines, and machineId", async (coding) => {
    const tool = (await toolsOf(new TestUser())).find(({ name }) => name === coding.name);
    const { properties, required } = inputSchemaOf(coding);
    const { machineId, ...others } = tool?.inputSchema.properties ?? {};
    expect(machineId?.type).toBe("string");
    const own = OF_ALL_MACHINES[coding.name] ?? [];
    expect(Object.keys(others).toSorted()).toEqual([...Object.keys(properties), ...own].toSorted());
    expect(tool).toMatchObject({ title: coding.title, annotations: coding.annotations });
    // These work over all machines at once, so they have their own descriptions, and need no project.
    if (["poll_events", "list_sessions", "search_sessions", "list_pending"].includes(coding.name)) return;
    expect((tool?.inputSchema.required ?? []).filter((name) => name !== "machineId")).toEqual(required);
    expect(tool?.description).toBe(coding.description);
    // Of a session there is a handle here and an id there; and some parameters are Operator's own.
    const told = Object.entries(others).filter(([name]) => name !== "session_id" && !own.includes(name));
    expect(properties).toMatchObject(Object.fromEntries(told));
  });
});
