import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { CreateMessageRequestSchema, ElicitRequestSchema } from "@modelcontextprotocol/sdk/types.js";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import * as z from "zod";
import { MachineSummary } from "#protocol/rest-api.ts";
import { StdioTarget } from "../../scripts/connector/stdio/stdio-target.ts";
import { peerBin } from "../peers/bin.ts";
import { startMessagesApi } from "../peers/messages-api.ts";
import { claudeClient } from "./support/claude-client.ts";
import { client, olderClient } from "./support/clients.ts";
import { Machine, register } from "./support/machine.ts";
import { TestOperator } from "./support/operator.ts";
import { run } from "./support/run.ts";
import { Workshop } from "./support/workshop.ts";

const Machines = z.object({ machines: z.array(MachineSummary) });
const Failure = z.object({ error: z.object({ code: z.string(), message: z.string(), retryable: z.boolean() }) });

let operator: TestOperator;
let workshop: Workshop;
/** A server that is started as a child process, for each session one. */
let attic: Machine;
/** A server behind a URL. */
let barn: Machine;

beforeAll(async () => {
  operator = await TestOperator.start();
  workshop = await Workshop.start();
  operator.own(workshop);
  const everything = {
    command: process.execPath,
    args: [peerBin("mcp-server-everything"), "stdio"],
    cwd: operator.folder,
  };
  attic = await Machine.add(operator, "attic", new StdioTarget(everything, "attic"));
  barn = await Machine.add(operator, "barn", workshop.url);
  await register(operator, "cellar"); // and one that has never dialled in
});

afterAll(() => operator[Symbol.asyncDispose]());

/** What every client of the SDKs can do, of either generation. */
type AnyClient = {
  listTools(): Promise<{ tools: { name: string }[] }>;
  callTool(
    params: { name: string; arguments: Record<string, unknown> },
    ...options: unknown[]
  ): Promise<Record<string, unknown>>;
} & AsyncDisposable;

type Result = {
  content: { type: string; text?: string }[];
  structuredContent?: unknown;
  isError?: boolean;
  _meta?: unknown;
};
type Progress = { progress: number; total?: number; message?: string };

const CLIENTS: Record<string, (url: URL) => Promise<AnyClient>> = {
  "the 2025 SDK": async (url) => {
    const made = await olderClient(url);
    return {
      listTools: () => made.listTools(),
      callTool: (params, options) => made.callTool(params, undefined, options as Parameters<typeof made.callTool>[2]),
      [Symbol.asyncDispose]: () => made.close(),
    };
  },
  "the current SDK as of 2025-11-25": async (url) => (await client(url, "2025-11-25")) as unknown as AnyClient,
  "the current SDK as of 2026-07-28": async (url) => (await client(url, "2026-07-28")) as unknown as AnyClient,
};

async function call(made: AnyClient, name: string, args: Record<string, unknown>, options?: object): Promise<Result> {
  return (await made.callTool({ name, arguments: args }, options)) as unknown as Result;
}

describe.each(Object.keys(CLIENTS))("the unified endpoint, with %s", (name) => {
  const connect = async (): Promise<AnyClient> => {
    const made = await CLIENTS[name]?.(operator.mcpUrl);
    if (made === undefined) throw new Error("unreachable: the name is a key");
    onTestFinished(() => made[Symbol.asyncDispose]());
    return made;
  };

  test("lists its own tools, and no tool of a machine", async () => {
    const { tools } = await (await connect()).listTools();
    const names = tools.map((tool) => tool.name);
    expect(names).toEqual(
      expect.arrayContaining(["list_machines", "get_machine", "list_tools", "call_tool", "poll_events"]),
    );
    expect(names.filter((one) => /echo|add|attic|barn/.test(one))).toEqual([]);
  });

  test("lists all machines with their states, and shows one in detail", async () => {
    const made = await connect();
    const { machines } = Machines.parse((await call(made, "list_machines", {})).structuredContent);
    expect(machines.map((machine) => [machine.name, machine.status])).toEqual([
      ["attic", "online"],
      ["barn", "online"],
      ["cellar", "never_connected"],
    ]);
    const { structuredContent } = await call(made, "get_machine", { machineId: "barn" });
    expect(MachineSummary.parse(structuredContent)).toMatchObject({
      name: "barn",
      status: "online",
      facts: { codez: "0.0.0" },
    });
    expect(structuredContent).toMatchObject({
      state: { connectedAtMs: expect.any(Number), sessions: [] },
      error: null,
    });
  });

  test("lists and calls the tools of the named machine, and returns its results unchanged", async () => {
    const made = await connect();
    const toolsOf = async (machineId: string): Promise<string> =>
      JSON.stringify((await call(made, "list_tools", { machineId })).structuredContent);
    expect(await toolsOf("attic")).toContain('"name":"echo"');
    expect(await toolsOf("barn")).toContain('"name":"add"');
    const echoed = await call(made, "call_tool", {
      machineId: "attic",
      name: "echo",
      arguments: { message: "héllo 😀" },
    });
    expect(echoed.content).toEqual([{ type: "text", text: "Echo: héllo 😀" }]);
    const added = await call(made, "call_tool", { machineId: "barn", name: "add", arguments: { a: 2, b: 40 } });
    expect(added).toMatchObject({
      content: [{ type: "text", text: "42" }],
      structuredContent: { sum: 42 },
      _meta: { "example.com/kept": [1, 2] },
    });
    const failed = await call(made, "call_tool", { machineId: "barn", name: "fail", arguments: {} });
    expect(failed).toMatchObject({ isError: true, content: [{ type: "text", text: "as it was meant to" }] });
  });

  test("says which machine or tool does not exist, and what to do", async () => {
    const made = await connect();
    const failureOf = async (machineId: string, tool: string): Promise<z.infer<typeof Failure>["error"]> => {
      const result = await call(made, "call_tool", { machineId, name: tool, arguments: {} });
      expect(result.isError).toBe(true);
      return Failure.parse(result.structuredContent).error;
    };
    expect(await failureOf("nowhere", "echo")).toMatchObject({ code: "machine_unknown", retryable: false });
    expect(await failureOf("cellar", "echo")).toMatchObject({ code: "machine_offline", retryable: true });
    expect((await failureOf("cellar", "echo")).message).toContain("codez connect");
    expect(await failureOf("barn", "echo")).toMatchObject({ code: "tool_unknown" });
    expect(await failureOf("attic", "add")).toMatchObject({ code: "tool_unknown" });
  });

  test("reads the machine's resources and prompts", async () => {
    const made = await connect();
    const listed = await call(made, "list_resources", { machineId: "attic" });
    const { resources } = z
      .object({ resources: z.array(z.object({ uri: z.string() })).min(1) })
      .parse(listed.structuredContent);
    const read = await call(made, "read_resource", { machineId: "attic", uri: resources[0]?.uri });
    expect(read.structuredContent).toMatchObject({ contents: [{ uri: resources[0]?.uri }] });
    const templates = await call(made, "list_resource_templates", { machineId: "attic" });
    expect(templates.structuredContent).toHaveProperty("resourceTemplates");
    const prompts = await call(made, "list_prompts", { machineId: "attic" });
    expect(JSON.stringify(prompts.structuredContent)).toContain('"name":"args-prompt"');
    const prompt = await call(made, "get_prompt", {
      machineId: "attic",
      name: "args-prompt",
      arguments: { city: "Rome" },
    });
    expect(JSON.stringify(prompt.structuredContent)).toContain("Rome");
  });

  test("forwards a machine's progress during the call", async () => {
    const made = await connect();
    const heard: Progress[] = [];
    const onprogress = (progress: Progress): void => {
      heard.push(progress);
      // Only now may the call end: a relay that gathers notifications until then would never end it.
      if (heard.length === 3) void workshop.release(name);
    };
    const done = await call(
      made,
      "call_tool",
      { machineId: "barn", name: "wait", arguments: { name, steps: 3 } },
      { onprogress },
    );
    expect(done.content).toEqual([{ type: "text", text: `${name} is done` }]);
    expect(heard.map(({ progress, total, message }) => [progress, total, message])).toEqual([
      [1, 3, "step 1"],
      [2, 3, "step 2"],
      [3, 3, "step 3"],
    ]);
    const steps: number[] = [];
    await call(
      made,
      "call_tool",
      { machineId: "attic", name: "trigger-long-running-operation", arguments: { duration: 0.2, steps: 2 } },
      { onprogress: ({ progress }: Progress) => steps.push(progress) },
    );
    expect(steps).toEqual([1, 2]);
  });
});

describe("a machine's own endpoint, by path and by host", () => {
  const urls = (machine: () => Machine): [string, () => URL][] => [
    ["path", () => machine().url],
    ["host", () => machine().hostUrl],
  ];

  test.each(urls(() => attic))("behaves like the server behind it (%s)", async (_, url) => {
    await using made = await olderClient(url());
    expect(made.getServerVersion()?.name).toContain("everything");
    const { tools } = await made.listTools();
    expect(tools.map(({ name }) => name)).toContain("echo");
    expect(await made.callTool({ name: "echo", arguments: { message: "hi" } })).toMatchObject({
      content: [{ type: "text", text: "Echo: hi" }],
    });
    const { resources } = await made.listResources();
    expect((await made.readResource({ uri: resources[0]?.uri ?? "" })).contents).toHaveLength(1);
    expect((await made.getPrompt({ name: "simple-prompt" })).messages).toHaveLength(1);
    const steps: number[] = [];
    await made.callTool({ name: "trigger-long-running-operation", arguments: { duration: 0.2, steps: 2 } }, undefined, {
      onprogress: ({ progress }) => steps.push(progress),
    });
    expect(steps).toEqual([1, 2]);
  });

  test.each(urls(() => barn))("speaks the revision of its server (%s)", async (_, url) => {
    for (const era of ["2025-11-25", "2026-07-28"] as const) {
      await using made = await client(url(), era);
      expect(made.getServerVersion()?.name).toBe("workshop");
      expect(await made.callTool({ name: "add", arguments: { a: 1, b: 2 } })).toMatchObject({
        structuredContent: { sum: 3 },
      });
    }
  });

  test("forwards the server's own requests to the client: sampling and elicitation", async () => {
    await using made = await olderClient(attic.url, { sampling: {}, elicitation: {} });
    made.setRequestHandler(CreateMessageRequestSchema, ({ params }) => ({
      role: "assistant",
      model: "none",
      content: { type: "text", text: `sampled: ${JSON.stringify(params.messages).length > 2}` },
    }));
    made.setRequestHandler(ElicitRequestSchema, () => ({ action: "accept", content: { name: "Ada", check: true } }));
    const sampled = await made.callTool({
      name: "trigger-sampling-request",
      arguments: { prompt: "Say it", maxTokens: 10 },
    });
    expect(JSON.stringify(sampled)).toContain("sampled: true");
    const elicited = await made.callTool({ name: "trigger-elicitation-request", arguments: {} });
    expect(JSON.stringify(elicited)).toContain("Ada");
  });

  test("keeps two clients' sessions apart, each with a child process of its own", async () => {
    await using one = await olderClient(attic.url);
    await using other = await olderClient(attic.hostUrl);
    expect(one.http.sessionId).toEqual(expect.any(String));
    expect(one.http.sessionId).not.toBe(other.http.sessionId);
    await one.http.terminateSession();
    await expect(one.callTool({ name: "echo", arguments: { message: "gone" } })).rejects.toThrow();
    expect(await other.callTool({ name: "echo", arguments: { message: "here" } })).toMatchObject({
      content: [{ text: "Echo: here" }],
    });
  });
});

describe("the MCP Inspector", () => {
  const inspect = async (url: URL, ...args: string[]): Promise<unknown> => {
    const inspector = [peerBin("mcp-inspector"), "--cli", url.href, "--transport", "http", ...args];
    const { code, stdout, stderr } = await run(process.execPath, inspector);
    expect([code, stderr.includes("rror")]).toEqual([0, false]);
    return JSON.parse(stdout);
  };

  test("lists and calls tools at /mcp", async () => {
    expect(await inspect(operator.mcpUrl, "--method", "tools/list")).toMatchObject({
      tools: expect.arrayContaining([expect.objectContaining({ name: "call_tool" })]),
    });
    const called = await inspect(
      operator.mcpUrl, "--method", "tools/call", "--tool-name", "call_tool",
      "--tool-arg", "machineId=attic", "--tool-arg", "name=echo", "--tool-arg", 'arguments={"message":"hello"}',
    ); // prettier-ignore
    expect(called).toMatchObject({ content: [{ type: "text", text: "Echo: hello" }] });
  });

  test("lists and calls tools at a machine's own URL", async () => {
    expect(await inspect(barn.url, "--method", "tools/list")).toMatchObject({
      tools: expect.arrayContaining([expect.objectContaining({ name: "add" })]),
    });
    const called = await inspect(barn.url, "--method", "tools/call", "--tool-name", "add", "--tool-arg", "a=20", "--tool-arg", "b=3"); // prettier-ignore
    expect(called).toMatchObject({ content: [{ type: "text", text: "23" }] });
  });
});

test("Claude Code adds Operator, reports it as healthy, and calls a tool on the machine it chooses", async () => {
  const home = await mkdtemp(join(tmpdir(), "operator-claude-"));
  onTestFinished(() => rm(home, { recursive: true, force: true }));
  await using api = await startMessagesApi(({ results, tools }) => {
    const tool = tools.find((name) => name.endsWith("call_tool"));
    if (tool === undefined) return { blocks: [{ text: "no tools" }] };
    if (results.length > 0) return { blocks: [{ text: `It said: ${results[0]?.text}` }] };
    return { blocks: [{ tool, input: { machineId: "barn", name: "add", arguments: { a: 40, b: 2 } } }] };
  });
  const claude = (...args: string[]) => claudeClient(home, api.url, ...args);
  const added = await claude("mcp", "add", "--transport", "http", "operator", operator.mcpUrl.href);
  expect([added.code, added.stdout]).toEqual([0, expect.stringContaining("operator")]);
  const listed = await claude("mcp", "list");
  expect(listed.stdout).toMatch(/operator: .*Connected/);
  const said = await claude(
    "-p",
    "add 40 and 2 on the barn",
    "--allowedTools",
    "mcp__operator__call_tool",
    "--output-format",
    "json",
  );
  expect(JSON.parse(said.stdout)).toMatchObject({ is_error: false, result: expect.stringContaining("42") });
});
