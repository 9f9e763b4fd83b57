import { describe, expect, it } from "vitest";
import type { CallRequest } from "#protocol/script-api.ts";
import { env, failureOf, TestUser, type ToolResult } from "../../support/operator.ts";
import type { Answer } from "../../../support/stand-in/dispatcher.ts";

async function two(): Promise<TestUser> {
  const alice = new TestUser();
  for (const name of ["attic", "cellar"]) await alice.machine(name);
  return alice;
}

/** Where a relayed call arrived, and as what: the stand-in's own result says it. */
async function arrived(user: TestUser, result: ToolResult): Promise<{ at: string; params: Record<string, unknown> }> {
  expect(result.isError).toBeUndefined();
  const { at, params }: CallRequest & { at: string } = JSON.parse(result.content[0]?.text ?? "");
  for (const name of ["attic", "cellar"]) if (at === (await user.slug(name))) return { at: name, params: params ?? {} };
  throw new Error(`arrived nowhere: ${at}`);
}

/** What a machine's server answers. */
const answering = (message: object): Answer => ({
  headers: { "content-type": "application/json" },
  body: JSON.stringify({ jsonrpc: "2.0", id: "operator-1", ...message }),
});

describe("list_machines", () => {
  it("lists every machine with its own state, even those that would not answer, and contacts none", async () => {
    const alice = await two();
    await alice.report("attic", { online: true });
    await alice.script("cellar", { fails: { code: "machine_failed", machine: "cellar", reason: "broken" } });
    const { structuredContent, content } = await alice.tool("list_machines");
    expect(structuredContent).toMatchObject({
      machines: [
        { name: "attic", status: "online" },
        { name: "cellar", status: "never_connected" },
      ],
    });
    expect(JSON.parse(content[0]?.text ?? "")).toEqual(structuredContent);
    for (const name of ["attic", "cellar"]) expect(await alice.reached(name)).toEqual([]);
  });
});

describe("get_machine", () => {
  it("asks that machine's script, and shows the machine even if the script fails", async () => {
    const alice = await two();
    expect((await alice.tool("get_machine", { machineId: "cellar" })).structuredContent).toMatchObject({
      name: "cellar",
      status: "online",
      state: { connectedAtMs: 1, exchanges: 0 },
      error: null,
    });
    expect(await alice.reached("attic")).toEqual([]);
    await alice.script("cellar", { fails: { code: "machine_failed", machine: "cellar", reason: "broken" } });
    expect((await alice.tool("get_machine", { machineId: "cellar" })).structuredContent).toMatchObject({
      name: "cellar",
      state: null,
      error: { code: "machine_failed" },
    });
  });
});

const FACTS = { hostname: "h", os: "linux", arch: "x64", cpus: 1, memoryBytes: 1, codez: "1", agent: null, repos: [], capabilities: [] }; // prettier-ignore

describe("a machine's description of itself", () => {
  const projects = Array.from({ length: 25 }, (_, n) => ({ slug: `-src-p${n}`, path: `/src/p${n}` }));
  const repos = projects.map(({ path }) => ({ path, branch: "main" }));

  it("appears in list_machines with its projects' slugs, at most twenty, and the number of further ones", async () => {
    const alice = await two();
    await alice.report("attic", { facts: { ...FACTS, projects, repos } });
    await alice.report("cellar", { facts: { ...FACTS, projects: projects.slice(0, 1) } });
    const { structuredContent } = await alice.tool("list_machines");
    expect(structuredContent).toMatchObject({
      machines: [
        { name: "attic", facts: { projects: projects.slice(0, 20), repos: repos.slice(0, 20) }, moreProjects: 5, moreRepos: 5 },
        { name: "cellar", facts: { projects: [{ slug: "-src-p0", path: "/src/p0" }], repos: [] } },
      ],
    });
    expect(structuredContent).not.toHaveProperty("machines.1.moreProjects");
  }); // prettier-ignore

  it("without projects, as an older connector sends it, is listed without projects", async () => {
    const alice = await two();
    await alice.report("attic", { facts: FACTS });
    expect((await alice.tool("list_machines")).structuredContent).toMatchObject({ machines: [{ facts: FACTS }, {}] });
  });

  it("appears in full and once in get_machine, with sessions by their handles", async () => {
    const alice = await two();
    const facts = { ...FACTS, projects, repos };
    const session = { firstMs: 1, lastMs: 2, lastType: "message" };
    const state = { online: true, epoch: 3, connectedAtMs: 4, lastSeenMs: 5, facts, position: { epoch: "e", seq: 6 }, template: "t", exchanges: 7 }; // prettier-ignore
    const body = JSON.stringify({ ...state, sessions: [{ id: "3f2a", ...session }] });
    await alice.report("attic", { facts: FACTS, lastSeenMs: 1 });
    await alice.script("attic", { answers: { "GET /operator/state": { body } } });
    const { structuredContent } = await alice.tool("get_machine", { machineId: "attic" });
    expect(structuredContent).toMatchObject({ status: "online", lastSeenMs: 5, facts });
    expect(structuredContent?.["state"]).toEqual({
      connectedAtMs: 4,
      exchanges: 7,
      sessions: [{ id: "attic/3f2a", ...session }],
    });
  });
});

describe("a call", () => {
  it("goes to the named machine, with its arguments and without machineId", async () => {
    const alice = await two();
    for (const machineId of ["cellar", "attic"]) {
      const result = await alice.tool("search_sessions", { machineId, query: "needle" });
      expect(await arrived(alice, result)).toEqual({
        at: machineId,
        params: { name: "search_sessions", arguments: { query: "needle" } },
      });
    }
  });

  it("of a session goes to the machine in its handle, with the machine's own session id", async () => {
    const alice = await two();
    for (const machine of ["cellar", "attic"]) {
      const result = await alice.tool("send_prompt", { session_id: `${machine}/3f2a/x`, text: "hi" });
      expect(await arrived(alice, result)).toEqual({
        at: machine,
        params: { name: "send_prompt", arguments: { session_id: "3f2a/x", text: "hi" } },
      });
    }
  });

  it("of a session may name the machine and the bare id separately, or in both ways if they agree", async () => {
    const alice = await two();
    const bare = await alice.tool("abort_session", { session_id: "3f2a", machineId: "cellar" });
    expect(await arrived(alice, bare)).toMatchObject({ at: "cellar", params: { arguments: { session_id: "3f2a" } } });
    const both = await alice.tool("abort_session", { session_id: "cellar/3f2a", machineId: "cellar" });
    expect(await arrived(alice, both)).toMatchObject({ at: "cellar", params: { arguments: { session_id: "3f2a" } } });
  });

  it("of any server's tool reaches it by name, with unchanged arguments", async () => {
    const alice = await two();
    const args = { deep: [1, { machineId: "not ours" }], session_id: "attic/not-ours" };
    const result = await alice.tool("call_tool", { machineId: "cellar", name: "send_prompt", arguments: args });
    expect(await arrived(alice, result)).toEqual({ at: "cellar", params: { name: "send_prompt", arguments: args } });
    const none = await alice.tool("call_tool", { machineId: "cellar", name: "now" });
    expect(await arrived(alice, none)).toMatchObject({ params: { name: "now", arguments: {} } });
  });

  it.each([
    ["list_tools", { cursor: "c" }, "tools/list", { cursor: "c" }],
    ["list_resources", {}, "resources/list", {}],
    ["list_resource_templates", {}, "resources/templates/list", {}],
    ["read_resource", { uri: "file:///a" }, "resources/read", { uri: "file:///a" }],
    ["list_prompts", {}, "prompts/list", {}],
    ["get_prompt", { name: "p", arguments: { a: "1" } }, "prompts/get", { name: "p", arguments: { a: "1" } }],
  ])(
    "%s forwards the request to the machine's server, and returns its complete result",
    async (name, args, method, params) => {
      const alice = await two();
      const result = { items: ["from the cellar"], nextCursor: "n" };
      await alice.script("cellar", { answers: { [method]: answering({ result }) } });
      expect((await alice.tool(name, { machineId: "cellar", ...args })).structuredContent).toEqual(result);
      const call: CallRequest = JSON.parse((await alice.reached("cellar")).at(-1)?.body ?? "");
      expect(call).toMatchObject({ method, params });
      expect(await alice.reached("attic")).toEqual([]);
    },
  );

  it("forwards the caller's _meta, except its progress token", async () => {
    const alice = await two();
    const _meta = { progressToken: "mine", traceparent: "00-1" };
    await alice.rpc("tools/call", { name: "call_tool", arguments: { machineId: "attic", name: "echo" }, _meta });
    const call: CallRequest = JSON.parse((await alice.reached("attic")).at(-1)?.body ?? "");
    expect(call.progress).toBe(true);
    expect(call.params?.["_meta"]).toMatchObject({ traceparent: "00-1" });
    expect(call.params?.["_meta"]).not.toHaveProperty("progressToken");
  });
});

describe("a call with a wrong machine name", () => {
  it.each([
    [
      "a handle and another machineId",
      "abort_session",
      { session_id: "attic/3f2a", machineId: "cellar" },
      "invalid_request",
    ],
    ["a bare id alone", "abort_session", { session_id: "3f2a" }, "invalid_request"],
    ["what only looks like a handle", "abort_session", { session_id: "Attic/3f2a" }, "invalid_request"],
    ["no machine", "get_health", {}, "invalid_request"],
    ["a machine that is no string", "get_health", { machineId: 7 }, "invalid_request"],
    ["a machine that is not there", "get_health", { machineId: "nobody" }, "machine_unknown"],
    ["a session on a machine that is not there", "abort_session", { session_id: "nobody/3f2a" }, "machine_unknown"],
    ["a machine that could be no machine's name", "get_health", { machineId: "../attic" }, "machine_unknown"],
    ["another user's slug", "get_health", { machineId: "attic--abcd1234" }, "machine_unknown"],
    ["no session", "abort_session", { machineId: "attic" }, "invalid_request"],
    ["no text", "send_prompt", { session_id: "attic/3f2a" }, "invalid_request"],
    ["no tool", "call_tool", { machineId: "attic" }, "invalid_request"],
    ["a tool that is no string", "call_tool", { machineId: "attic", name: 7 }, "invalid_request"],
  ])("with %s gets a result that says so, and reaches no machine", async (_, name, args, code) => {
    const alice = await two();
    const result = await alice.tool(name, args);
    expect(failureOf(result)).toBe(code);
    expect(result.content[0]?.text).toMatch(new RegExp(`^${code}: `));
    const reached = [...(await alice.reached("attic")), ...(await alice.reached("cellar"))];
    expect(reached).toEqual([]);
  });

  it("of another user's machine is answered exactly like one that does not exist", async () => {
    const [alice, bob] = [await two(), new TestUser()];
    const theirs = await bob.tool("get_health", { machineId: "attic" });
    const nobodys = await bob.tool("get_health", { machineId: "nobody" });
    expect(failureOf(theirs)).toBe("machine_unknown");
    expect(JSON.stringify(theirs).replaceAll("attic", "nobody")).toBe(JSON.stringify(nobodys));
    expect(await alice.reached("attic")).toEqual([]);
  });
});

describe("the answer to an unknown machine name", () => {
  it.each([
    ["get_machine", { machineId: "atic" }],
    ["get_health", { machineId: "atic" }],
    ["call_tool", { machineId: "Attic!", name: "dig" }],
    ["send_prompt", { session_id: "atic/3f2a", text: "hi" }],
    ["poll_events", { machineId: "atic" }],
  ])("lists the existing names: %s", async (name, args) => {
    const alice = await two();
    const result = await alice.tool(name, args);
    expect(result.structuredContent).toMatchObject({
      error: { code: "machine_unknown", machines: ["attic", "cellar"], machineCount: 2 },
    });
    expect(result.content[0]?.text).toContain("Your machines: attic, cellar.");
  });

  it("lists at most twenty, and how many there are", async () => {
    const alice = new TestUser();
    for (let n = 0; n < 21; n++) await alice.register(`m-${String(n).padStart(2, "0")}`);
    const { structuredContent, content } = await alice.tool("get_machine", { machineId: "nobody" });
    expect(structuredContent).toMatchObject({ error: { machineCount: 21 } });
    expect(structuredContent).toHaveProperty("error.machines.length", 20);
    expect(content[0]?.text).toContain("m-19, and 1 more (call list_machines)");
  });

  it("lists only those that the caller's token reaches", async () => {
    const alice = await two();
    const { token } = await (
      await alice.rest("POST", "/api/tokens", { label: "one machine", machines: ["attic"] })
    ).json<{ token: string }>();
    const limited = new TestUser(alice.id, token);
    const result = await limited.tool("get_health", { machineId: "cellar" });
    expect(failureOf(result)).toBe("machine_unknown");
    expect(result.structuredContent).toMatchObject({ error: { machines: ["attic"], machineCount: 1 } });
  });
});

describe("a machine's answer", () => {
  it("comes back complete: content of every kind, structured content, isError, _meta", async () => {
    const alice = await two();
    const result = {
      content: [
        { type: "image", data: "AAAA", mimeType: "image/png" },
        { type: "text", text: "é€" },
      ],
      structuredContent: { session_id: "not rewritten", n: 1 },
      isError: true,
      _meta: { "example.com/x": 1 },
    };
    await alice.script("cellar", { answers: { "tools/call get_state": answering({ result }) } });
    expect(await alice.tool("get_state", { machineId: "cellar" })).toMatchObject(result);
  });

  it.each([
    ["its own error", { code: -32_602, message: "bad cursor", data: { why: "old" } }],
    ["an error of its own code", { code: 1234, message: "out of paper" }],
    // To look through all of a long one would take hours.
    ["a message that speaks of tools at length", { code: -32_601, message: `${"tool ".repeat(1_000)}not found` }],
  ])("with the error %s comes back as that error", async (_, error) => {
    const alice = await two();
    await alice.script("cellar", { answers: { "tools/call get_state": answering({ error }) } });
    const { answer } = await alice.rpc("tools/call", { name: "get_state", arguments: { machineId: "cellar" } });
    expect(answer.error).toMatchObject(error);
  });

  it.each([
    ["a JSON-RPC error", { error: { code: -32_602, message: "Unknown tool: dig" } }],
    ["another server's words", { error: { code: -32_601, message: "Tool dig not found" } }],
    [
      "a result, as the 2025 SDKs do",
      { result: { isError: true, content: [{ type: "text", text: "MCP error -32602: Tool dig not found" }] } },
    ],
  ])("to an unknown tool is tool_unknown, even if it says so with %s", async (_, message) => {
    const alice = await two();
    await alice.script("cellar", { answers: { "tools/call dig": answering(message) } });
    const result = await alice.tool("call_tool", { machineId: "cellar", name: "dig" });
    expect(failureOf(result)).toBe("tool_unknown");
    expect(result.structuredContent).toMatchObject({ error: { machine: "cellar", tool: "dig" } });
  });

  it("is unchanged if a tool's result merely mentions unknown tools", async () => {
    const alice = await two();
    const result = { isError: true, content: [{ type: "text", text: "unknown tool: hammer" }] };
    await alice.script("cellar", { answers: { "tools/call dig": answering({ result }) } });
    expect(failureOf(await alice.tool("call_tool", { machineId: "cellar", name: "dig" }))).toBeUndefined();
  });
});

describe("a session id in an answer", () => {
  it.each([
    [
      { code: "machine_offline", machine: "x", lastSeenMs: 5 },
      { lastSeenMs: 5, retryable: true },
    ],
    [
      { code: "machine_timeout", machine: "x", afterMs: 7_000 },
      { afterMs: 7_000, retryable: true },
    ],
    [
      { code: "machine_busy", machine: "x", limit: 512 },
      { limit: 512, retryable: true },
    ],
    [{ code: "machine_revoked", machine: "x" }, { retryable: false }],
    [{ code: "link_lost", machine: "x" }, { retryable: true }],
    [
      { code: "machine_failed", machine: "x", reason: "it broke" },
      { reason: "it broke", retryable: false },
    ],
    [
      { code: "agent_too_old", machine: "x", reason: "it speaks version 0" },
      { reason: "it speaks version 0", retryable: false },
    ],
    [{ code: "machine_unknown", machine: "x" }, { retryable: false }],
  ] as const)("is told under the name that its owner uses, with its evidence: %o", async (fails, evidence) => {
    const alice = await two();
    await alice.script("cellar", { fails });
    const result = await alice.tool("get_health", { machineId: "cellar" });
    expect(failureOf(result)).toBe(fails.code);
    expect(result.structuredContent).toMatchObject({ error: { code: fails.code, machine: "cellar", ...evidence } });
    expect(result.content[0]?.text).toContain("cellar");
    expect(failureOf(await alice.tool("get_health", { machineId: "attic" }))).toBeUndefined();
  });

  it("is the caller's own when the script refuses the request, such as one whose head is too large to send", async () => {
    const alice = await two();
    await alice.script("cellar", { fails: { code: "invalid_request", reason: "its headers are too large" } });
    const result = await alice.tool("get_health", { machineId: "cellar" });
    expect(failureOf(result)).toBe("invalid_request");
    expect(result.content[0]?.text).toContain("its headers are too large");
  });
});

describe("a session in an answer", () => {
  const ID = "3f2a0c1e-1111-4222-8333-444455556666";
  const HANDLE = `cellar/${ID}`;

  it.each([
    ["list_sessions", { machineId: "cellar", slug: "s" }, (id: string) => ({ sessions: [{ session_id: id, turns: 1 }] })],
    ["search_sessions", { machineId: "cellar", query: "q" }, (id: string) => ({ sessions: [{ session_id: id, matches: [] }] })],
    ["get_session", { session_id: HANDLE }, (id: string) => ({ session: { session_id: id, forked_from: id }, pending_permissions: [{ session_id: id }] })],
    ["send_and_wait", { session_id: HANDLE, text: "hi" }, (id: string) => ({ session_id: id, status: "running", permission_requests: [{ session_id: id }] })],
    ["respond_permission", { session_id: ID, machineId: "cellar", request_id: "r", behavior: "deny" }, (id: string) => ({ request_id: "r", session_id: id })],
    ["abort_session", { session_id: HANDLE }, (id: string) => ({ session_id: id, aborted: true })],
    ["get_observability", { machineId: "cellar" }, (id: string) => ({ live: [{ session_id: id }] })],
  ])("of %s becomes a handle that every session tool accepts", async (name, args, answer) => {
    const alice = await two();
    const result = { content: [{ type: "text", text: JSON.stringify(answer(ID)) }], structuredContent: answer(ID) };
    await alice.script("cellar", { answers: { [`tools/call ${name}`]: answering({ result }) } });
    await env.USER.getByName(alice.id).setRemoteApproval("cellar", true, null);
    const { content, structuredContent } = await alice.tool(name, args);
    expect(structuredContent).toEqual(answer(HANDLE));
    expect(content[0]?.text).toBe(JSON.stringify(answer(HANDLE)));
  }); // prettier-ignore

  it("in an error's evidence becomes a handle, in the message too", async () => {
    const alice = await two();
    const error = (id: string) => ({ code: "session_unknown", session: id, message: `No session ${id} here.` });
    const result = {
      isError: true,
      content: [{ type: "text", text: `session_unknown: No session ${ID} here.` }],
      structuredContent: { error: error(ID) },
    };
    await alice.script("cellar", { answers: { "tools/call abort_session": answering({ result }) } });
    const failed = await alice.tool("abort_session", { session_id: HANDLE });
    expect(failed.structuredContent).toEqual({ error: error(HANDLE) });
    expect(failed.content[0]?.text).toBe(`session_unknown: No session ${HANDLE} here.`);
  });

  it("becomes a handle in an answer of text alone, with every number unchanged", async () => {
    const alice = await two();
    const text = (id: string) => `{"sessions": [{"id":"${id}", "tokens": 12345678901234567890}]}`;
    const result = { content: [{ type: "text", text: text(ID) }] };
    await alice.script("cellar", { answers: { "tools/call list_sessions": answering({ result }) } });
    const { content } = await alice.tool("list_sessions", { machineId: "cellar", slug: "s" });
    expect(content[0]?.text).toBe(text(HANDLE));
  });

  it.each([
    ["call_tool", "call_tool", { machineId: "cellar", name: "get_session" }, "get_session"],
    ["a document of clients", "get_state", { machineId: "cellar" }, "get_state"],
  ])("of %s stays the machine's own", async (_, name, args, called) => {
    const alice = await two();
    const mine = { session_id: ID, state: { session_id: ID } };
    const result = { content: [{ type: "text", text: JSON.stringify(mine) }], structuredContent: mine };
    await alice.script("cellar", { answers: { [`tools/call ${called}`]: answering({ result }) } });
    expect(await alice.tool(name, args)).toMatchObject(result);
  });
});

describe("a new session", () => {
  it.each([
    ["session_id", { session_id: "3f2a" }, { session_id: "attic/3f2a" }],
    ["sessionId", { sessionId: "3f2a", id: "other" }, { sessionId: "attic/3f2a", id: "other" }],
    ["id", { id: "3f2a", slug: "s" }, { id: "attic/3f2a", slug: "s" }],
    ["a session within", { session: { id: "3f2a" } }, { session: { id: "attic/3f2a" } }],
  ])("gets a handle where the result names it: %s", async (_, made, handled) => {
    const alice = await two();
    const result = {
      content: [
        { type: "text", text: JSON.stringify(made) },
        { type: "text", text: "created" },
      ],
      structuredContent: made,
    };
    await alice.script("attic", { answers: { "tools/call create_session": answering({ result }) } });
    const created = await alice.tool("create_session", { machineId: "attic", slug: "s", cwd: "/src" });
    expect(created.structuredContent).toEqual(handled);
    expect(JSON.parse(created.content[0]?.text ?? "")).toEqual(handled);
    expect(created.content[1]?.text).toBe("created");
  });

  it("gets a handle after a fork, which takes one too", async () => {
    const alice = await two();
    const result = { content: [{ type: "text", text: '{"session_id":"new"}' }] };
    await alice.script("cellar", { answers: { "tools/call fork_session": answering({ result }) } });
    const forked = await alice.tool("fork_session", { session_id: "cellar/old", slug: "s" });
    expect(JSON.parse(forked.content[0]?.text ?? "")).toEqual({ session_id: "cellar/new" });
    const call: CallRequest = JSON.parse((await alice.reached("cellar")).at(-1)?.body ?? "");
    expect(call.params).toEqual({ name: "fork_session", arguments: { session_id: "old", slug: "s" } });
  });

  it.each([
    ["that could not be made", { isError: true, content: [{ type: "text", text: '{"id":"3f2a"}' }] }],
    ["that is told in prose", { content: [{ type: "text", text: "I made session 3f2a." }] }],
  ])("keeps its result unchanged after %s", async (_, result) => {
    const alice = await two();
    await alice.script("attic", { answers: { "tools/call create_session": answering({ result }) } });
    expect(await alice.tool("create_session", { machineId: "attic", slug: "s", cwd: "/src" })).toMatchObject(result);
  });
});
