import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { peerBin } from "../peers/bin.ts";
import { obedient, TestMachine } from "../scripts/serve/support/machine.ts";
import { client } from "./support/clients.ts";
import { until } from "./support/eventually.ts";
import { joinOperator } from "./support/join-operator.ts";
import { TestOperator } from "./support/operator.ts";
import { run } from "./support/run.ts";

/** The longest time for a whole turn of Claude Code on a busy computer. */
const TURN_MS = 60_000;

type Result = { content: { text: string }[]; structuredContent: Record<string, unknown>; isError?: boolean };

let operator: TestOperator;
/** A computer with the real Claude Code behind `codez serve`, which the shipped `codez connect` brings to Operator. */
let attic: TestMachine;

beforeAll(async () => {
  operator = await TestOperator.start();
  attic = await TestMachine.start({ script: obedient, repos: ["api", "web"] });
  operator.own(attic);
  await joinOperator(operator, attic);
});

afterAll(() => operator[Symbol.asyncDispose]());

describe.each(["2025-11-25", "2026-07-28"] as const)("a model that knows only /mcp, with a client of %s,", (era) => {
  test("finds a project, starts a session, follows it and reads it, without typing a machine's own session id", async () => {
    await using made = await client(operator.mcpUrl, era);
    const call = async (name: string, args: object = {}): Promise<Result> =>
      (await made.callTool({ name, arguments: { ...args } }, { timeout: TURN_MS })) as unknown as Result;
    const told = async (name: string, args: object = {}): Promise<Record<string, unknown>> => {
      const { content, structuredContent, isError } = await call(name, args);
      expect(isError, content[0]?.text).toBeUndefined();
      expect(JSON.parse(content[0]?.text ?? "")).toEqual(structuredContent);
      return structuredContent;
    };

    const slug = attic.slug("api");
    await until("Operator to know attic's projects", async () => {
      const { machines } = await told("list_machines");
      return JSON.stringify(machines).includes(JSON.stringify({ slug, path: attic.repo("api") }));
    });

    const { session_id: session } = await told("create_session", {
      machineId: "attic",
      slug,
      prompt: `hello ${era}`,
    });
    expect(session).toMatch(/^attic\/[0-9a-f-]{36}$/);
    const id = String(session).slice("attic/".length);
    /** Whether the answer names the session by its handle, and never by its bare id. */
    const expectHandle = (answer: unknown): void => {
      const text = JSON.stringify(answer);
      expect(text).toContain(`"${String(session)}"`);
      expect(text.replaceAll(String(session), "")).not.toContain(id);
    };

    const waited = await told("send_and_wait", { session_id: session, text: "and again", timeout_ms: TURN_MS });
    expect(waited).toMatchObject({ status: "done", result: "Heard: and again" });
    expectHandle(waited);
    expectHandle(await told("get_session", { session_id: session, limit: 5 }));
    expectHandle(await told("list_sessions", { machineId: "attic", slug, limit: 10 }));
    /** Checks the first answer in which the text is: events arrive, and files are indexed, a moment later. */
    const eventually = (name: string, args: object, text: string) =>
      until(`${name} tells of ${text}`, async () => {
        const answer = await told(name, args);
        if (!JSON.stringify(answer).includes(text)) return false;
        expectHandle(answer);
        return true;
      });
    const query = `hello ${era.slice(0, 4)}`;
    await eventually("search_sessions", { machineId: "attic", query }, String(session));
    await eventually("get_observability", { machineId: "attic", days: 1 }, String(session));
    await eventually("poll_events", { session_id: session, timeout_ms: 1_000 }, "session.idle");
    const fork = await told("fork_session", { session_id: session });
    expect(fork).toMatchObject({ session_id: expect.stringMatching(/^attic\//), forked_from: session });
    for (const one of [fork["session_id"], session]) await told("dispose_session", { session_id: one });
  });

  test("is told by the machine what is wrong with a call and what to do, always in the same form", async () => {
    await using made = await client(operator.mcpUrl, era);
    const failed = async (name: string, args: object): Promise<{ text: string; error: Record<string, unknown> }> => {
      const result = (await made.callTool({ name, arguments: { ...args } })) as unknown as Result;
      expect(result.isError).toBe(true);
      const { error } = result.structuredContent as { error: Record<string, unknown> };
      const text = result.content[0]?.text ?? "";
      expect(text).toBe(`${String(error["code"])}: ${String(error["message"])}`);
      expect(typeof error["retryable"]).toBe("boolean");
      return { text, error };
    };
    const nobody = "attic/00000000-0000-4000-8000-000000000000";
    expect((await failed("create_session", { machineId: "attic" })).text).toMatch(
      /^arguments_invalid: .*"slug".*"cwd"/,
    );
    expect((await failed("get_project_memory", { machineId: "attic" })).text).toMatch(
      /^invalid_request: .*"slug": Project slug/,
    );
    expect((await failed("list_sessions", { machineId: "atic", slug: "x" })).text).toContain("Your machines: attic.");
    expect(await failed("send_prompt", { session_id: nobody, text: "x" })).toMatchObject({
      text: expect.stringContaining(`session_unknown: There is no session ${nobody} `),
      error: { session: nobody },
    });
  });
});

test("the MCP Inspector starts a session with only a slug", async () => {
  const inspector = [peerBin("mcp-inspector"), "--cli", operator.mcpUrl.href, "--transport", "http"];
  const call = ["--method", "tools/call", "--tool-name", "create_session"];
  const given = ["--tool-arg", "machineId=attic", "--tool-arg", `slug=${attic.slug("web")}`];
  const { code, stdout, stderr } = await run(process.execPath, [...inspector, ...call, ...given]);
  expect([code, stderr]).toEqual([0, expect.not.stringContaining("rror")]);
  expect(JSON.parse(stdout)).toMatchObject({ structuredContent: { session_id: expect.stringMatching(/^attic\//) } });
});
