import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { CODING_TOOLS } from "#protocol/coding-tools.ts";
import { inputSchemaOf } from "#protocol/coding-tools/coding-tool.ts";
import { type Answer, ERAS, obedient, TestMachine, until } from "./support/machine.ts";

/** `tools/list` of the public CodeZ: names and parameters. */
const documented: { tools: { name: string; inputSchema: { properties: object; required: string[] } }[] } = JSON.parse(
  readFileSync(new URL("support/codez-tools.json", import.meta.url), "utf8"),
);

let machine: TestMachine;

beforeAll(async () => {
  machine = await TestMachine.start({ script: obedient, repos: ["api", "web"] });
});
afterAll(() => machine[Symbol.asyncDispose]());

describe.each(ERAS)("in revision $era", ({ era, options }) => {
  test("every documented tool exists with its parameters, and its annotations say whether it changes something", async () => {
    await using client = await machine.connect(options);
    expect(client.mcp.getNegotiatedProtocolVersion()).toBe(era);
    const { tools } = await client.mcp.listTools();
    const more = ["get_changes", "list_pending"]; // not of the public CodeZ
    expect(tools.map((tool) => tool.name).sort()).toEqual(
      [...documented.tools.map((tool) => tool.name), ...more].sort(),
    );
    for (const { name, inputSchema } of documented.tools) {
      const ours = tools.find((tool) => tool.name === name);
      const properties = inputSchema.properties as Record<string, { type: string; enum?: string[] }>;
      for (const [parameter, { type, enum: values }] of Object.entries(properties)) {
        expect(ours?.inputSchema.properties?.[parameter], `${name}.${parameter}`).toMatchObject({
          type,
          ...(values && { enum: values }),
        });
      }
      // Fewer parameters may be required than documented, never more.
      expect(inputSchema.required).toEqual(expect.arrayContaining(ours?.inputSchema.required ?? []));
      expect(typeof ours?.annotations?.readOnlyHint).toBe("boolean");
    }
  });

  test("every tool of the shared table exists, exactly as in the table", async () => {
    await using client = await machine.connect(options);
    const { tools } = await client.mcp.listTools();
    const listed = tools.map(({ name, title, description, annotations, inputSchema }) => ({
      name,
      title,
      description,
      annotations,
      inputSchema,
    }));
    const table = Object.values(CODING_TOOLS).map((tool) => {
      const { name, title, description, annotations } = tool;
      return { name, title, description, annotations, inputSchema: inputSchemaOf(tool) };
    });
    const byName = (one: { name: string }, other: { name: string }) => one.name.localeCompare(other.name);
    expect(listed.toSorted(byName)).toEqual(table.toSorted(byName));
  });

  test("the documented workflow: create, prompt, watch, read, and every other tool answers", async () => {
    await using client = await machine.connect(options);
    const cwd = machine.repo("api");
    const slug = machine.slug("api");
    const { session_id: session } = await client.call("create_session", { slug, cwd });
    await client.call("send_prompt", { session_id: session, text: `good morning ${era}`, slug, cwd });
    const events = await client.eventsUntil(
      (event) => event["type"] === "session.idle",
      await firstCursor(client),
      String(session),
    );
    expect(events.map((event) => event["type"])).toEqual(expect.arrayContaining(["message", "message.delta"]));

    const { projects } = (await client.call("list_projects")) as {
      projects: { slug: string; last_active_at_ms: number | null }[];
    };
    expect(projects).toContainEqual(
      expect.objectContaining({ slug, path: cwd, branch: "main", remote: "https://git.example/api" }),
    );
    for (const { last_active_at_ms: atMs } of projects) expect(atMs === null || Number.isInteger(atMs)).toBe(true);
    // Claude Code writes its files, and they are indexed, a moment after the turn. No call waits long for that.
    const told = (name: string, args: Answer, text: string) =>
      until(`${name} to tell of ${text}`, async () => {
        const answer = await client.call(name, args);
        return JSON.stringify(answer).includes(text) ? answer : undefined;
      });
    const { sessions } = (await told("list_sessions", { slug }, `good morning ${era}`)) as { sessions: object[] };
    expect(sessions).toContainEqual(
      expect.objectContaining({
        session_id: session,
        title: `good morning ${era}`,
        status: "live",
        model: "claude-opus-5-5",
      }),
    );
    const read = await told("get_session", { session_id: session, slug }, `Heard: good morning ${era}`);
    expect(JSON.stringify(read["messages"])).toContain(`Heard: good morning ${era}`);

    const found = (await told("search_sessions", { query: `morning ${era.slice(0, 4)}` }, String(session))) as {
      sessions: { session_id: string; matches: { snippet: string }[] }[];
    };
    const match = found.sessions.find((one) => one.session_id === session);
    expect(match?.matches[0]?.snippet).toContain(`good morning ${era}`);

    const waited = await client.call("send_and_wait", { session_id: session, text: "and again", slug });
    expect(waited).toMatchObject({ status: "done", result: "Heard: and again" });

    writeFileSync(join(cwd, "notes.txt"), "hello\n");
    expect(await client.call("get_changes", { session_id: session })).toMatchObject({
      repository: cwd,
      base_commit: null,
      files: [{ path: "notes.txt", status: "untracked", additions: 1, diff: "@@ -0,0 +1,1 @@\n+hello\n" }],
      total: 1,
    });

    const { session_id: fork } = await client.call("fork_session", { session_id: session, slug });
    expect(fork).not.toBe(session);
    expect(await client.call("abort_session", { session_id: fork })).toMatchObject({ aborted: false });
    expect(await client.call("dispose_session", { session_id: fork })).toMatchObject({ disposed: true });

    const memory = join(machine.env["CLAUDE_CONFIG_DIR"] ?? "", "projects", slug, "memory");
    mkdirSync(memory, { recursive: true });
    writeFileSync(join(memory, "MEMORY.md"), "tests live in spec/");
    const remembered = await client.call("get_project_memory", { slug });
    expect(remembered["files"]).toContainEqual(
      expect.objectContaining({ name: "memory/MEMORY.md", text: "tests live in spec/" }),
    );

    expect(
      await client.refused("respond_permission", { session_id: session, request_id: "x", behavior: "allow" }),
    ).toMatchObject({
      code: "request_unknown",
    });
    expect(await client.call("get_health")).toMatchObject({ ok: true });
    expect(await client.call("get_health_details")).toMatchObject({ agent: { name: "claude-code", signed_in: true } });
    await client.call("update_state", { patch: { [era]: { seen: 1, gone: 2 } } });
    await client.call("update_state", { patch: { [era]: { gone: null } } });
    expect((await client.call("get_state"))["state"]).toMatchObject({ [era]: { seen: 1 } });
    const onDisk = JSON.parse(readFileSync(join(machine.home, ".codez", "serve", "state.json"), "utf8"));
    expect(onDisk[era]).toEqual({ seen: 1 });

    const usage = (await told("get_observability", {}, slug)) as {
      by_project: Record<string, unknown>[];
      total: object;
    };
    expect(usage.total).toMatchObject({ input_tokens: expect.any(Number) });
    expect(usage.by_project).toContainEqual(expect.objectContaining({ slug }));
    // Its project is closed to clients.
    machine.configure({ drive: [machine.repo("web")] });
    expect(await client.refused("get_changes", { session_id: session })).toMatchObject({ code: "project_not_allowed" });
    machine.configure({});
    await client.call("dispose_session", { session_id: session });
  });

  test("a wrong argument is refused with the mistake, not with a fault", async () => {
    await using client = await machine.connect(options);
    const error = await client.refused("send_prompt", { session_id: "../../etc/passwd", text: "x" });
    expect(error).toMatchObject({ code: "arguments_invalid", retryable: false });
    expect(String(error["message"])).toContain("session_id");
    expect(await client.refused("list_sessions", { slug: "x", limit: 501 })).toMatchObject({
      code: "arguments_invalid",
      message: expect.stringMatching(/^list_sessions: "limit": .*500/),
    });
    await expect(client.mcp.callTool({ name: "no_such_tool", arguments: {} })).rejects.toThrow("no_such_tool");
  });

  test("a missing argument is named with where to get it, and a misspelt one is named too", async () => {
    await using client = await machine.connect(options);
    expect(await client.refused("list_sessions")).toMatchObject({
      code: "arguments_invalid",
      message: expect.stringMatching(/^list_sessions needs "slug": .*list_projects/),
    });
    expect(await client.refused("list_sessions", { project: "api" })).toMatchObject({
      message: expect.stringContaining('list_sessions has no parameter "project".'),
    });
    expect(await client.refused("create_session")).toMatchObject({
      message: expect.stringMatching(/^create_session needs "slug" .*list_projects.* or "cwd"/),
    });
  });

  test("an error has the text `code: message` and, for programs, its code, message and evidence", async () => {
    await using client = await machine.connect(options);
    const result = await client.mcp.callTool({ name: "list_sessions", arguments: { slug: "nowhere" } });
    const message = "There is no project nowhere on this machine. Call list_projects for the slugs.";
    expect(result).toMatchObject({
      isError: true,
      content: [{ type: "text", text: `project_unknown: ${message}` }],
      structuredContent: { error: { code: "project_unknown", message, retryable: false, project: "nowhere" } },
    });
  });
});

/** From the first event of this serve on. */
async function firstCursor(client: { poll(input: object): Promise<{ cursor: string }> }): Promise<string> {
  const { cursor } = await client.poll({ cursor: "now" });
  return cursor.replace(/\d+$/, "0");
}
