import { describe, expect, it, vi } from "vitest";
import { MAX_ANSWER_BYTES } from "../../../control-api/src/mcp/bounded-answer.ts";
import type { Answer } from "../../support/stand-in/dispatcher.ts";
import { failureOf, MODERN, TestUser } from "../support/operator.ts";

const stream = (...messages: (object | string)[]) => ({
  headers: { "content-type": "Text/Event-Stream" }, // in no case that a sender would have to use
  body: messages
    .map((one) => `event: message\ndata: ${typeof one === "string" ? one : JSON.stringify(one)}\n\n`)
    .join(""),
});

const progress = (n: number) => ({
  jsonrpc: "2.0",
  method: "notifications/progress",
  params: { progressToken: "operator-1", progress: n, total: 3, message: `step ${n}` },
});
const done = { jsonrpc: "2.0", id: "operator-1", result: { content: [{ type: "text", text: "done" }] } };

async function machineThat(answer: {
  headers?: Record<string, string>;
  status?: number;
  body: string;
}): Promise<TestUser> {
  const alice = new TestUser();
  await alice.machine("attic", { answers: { "tools/call slow": answer } });
  return alice;
}

const call = { name: "call_tool", arguments: { machineId: "attic", name: "slow" } };

describe("a machine that answers in a stream", () => {
  it.each([MODERN, "2025-11-25"])(
    "gets its progress forwarded under the caller's own token, in order, before the result: %s",
    async (revision) => {
      const alice = await machineThat(stream(progress(1), progress(2), progress(3), done));
      const { before, answer } = await alice.rpc("tools/call", { ...call, _meta: { progressToken: "mine" } }, revision);
      expect(before).toMatchObject(
        [1, 2, 3].map((n) => ({
          method: "notifications/progress",
          params: { progressToken: "mine", progress: n, total: 3, message: `step ${n}` },
        })),
      );
      expect(answer.result).toMatchObject({ content: [{ text: "done" }] });
    },
  );

  it("gets no progress forwarded if the caller asked for none", async () => {
    const alice = await machineThat(stream(progress(1), done));
    const { before, answer } = await alice.rpc("tools/call", call);
    expect(before).toEqual([]);
    expect(answer.result).toMatchObject({ content: [{ text: "done" }] });
  });

  it("is read up to its response, past invalid messages and notifications", async () => {
    const alice = await machineThat(
      stream(
        "not json",
        "{}",
        { jsonrpc: "2.0", method: "notifications/message", params: { level: "info", data: "x" } },
        done,
      ),
    );
    expect((await alice.tool("call_tool", call.arguments)).content).toEqual([{ type: "text", text: "done" }]);
  });

  it("starts no timer for each of its notifications, because the runtime keeps them until the call ends", async () => {
    const alice = await machineThat(stream(...Array.from({ length: 1_000 }, (_, n) => progress(n)), done));
    const started = vi.spyOn(globalThis, "setTimeout");
    try {
      expect((await alice.tool("call_tool", call.arguments)).content).toEqual([{ type: "text", text: "done" }]);
      // Other work of this isolate may start some, too.
      expect(started.mock.calls.length).toBeLessThan(500);
    } finally {
      started.mockRestore();
    }
  });

  it("and ends without a response has lost the call", async () => {
    const alice = await machineThat(stream(progress(1)));
    expect(failureOf(await alice.tool("call_tool", call.arguments))).toBe("link_lost");
  });

  it.each(["link_lost", "machine_revoked"])("says in its closing word if the link was cut: %s", async (code) => {
    const error = { code: -32_000, message: "cut", data: { code, machine: "some-slug" } };
    const alice = await machineThat(stream(progress(1), { jsonrpc: "2.0", id: "operator-1", error }));
    const result = await alice.tool("call_tool", call.arguments);
    expect(failureOf(result)).toBe(code);
    expect(result.structuredContent).toMatchObject({ error: { machine: "attic" } });
  });
});

describe("a machine whose server does not answer with JSON-RPC", () => {
  it.each<[string, Answer]>([
    ["a page", { status: 200, body: "<html>", headers: { "content-type": "text/html" } }],
    ["nothing", { status: 202, body: "" }],
    ["an error of HTTP", { status: 500, body: "boom" }],
    ["JSON of another kind", { body: "[1]", headers: { "content-type": "application/json" } }],
  ])("counts as failed: %s", async (_, answer) => {
    const alice = await machineThat(answer);
    const result = await alice.tool("call_tool", call.arguments);
    expect(failureOf(result)).toBe("machine_failed");
    expect(result.content[0]?.text).toContain(`HTTP ${answer.status ?? 200}`);
  });
});

describe("an answer that is too large for /mcp", () => {
  const large = "x".repeat(MAX_ANSWER_BYTES);
  const event = (data: string): string => `data: ${data}\n\n`;
  const message = event(
    JSON.stringify({
      jsonrpc: "2.0",
      method: "notifications/message",
      params: { data: large.slice(0, MAX_ANSWER_BYTES / 2) },
    }),
  );

  it.each<[string, Answer]>([
    ["as JSON", { body: JSON.stringify({ ...done, large }), headers: { "content-type": "application/json" } }],
    [
      "as one event",
      { body: event(JSON.stringify({ ...done, large })), headers: { "content-type": "text/event-stream" } },
    ],
    [
      "as an event without an end",
      { body: `data: ${large}${large}`, headers: { "content-type": "text/event-stream" } },
    ],
  ])("fails with answer_too_large, which recommends the machine's own URL: %s", async (_, answer) => {
    const alice = await machineThat(answer);
    const result = await alice.tool("call_tool", call.arguments);
    expect(failureOf(result)).toBe("answer_too_large");
    expect(result.content[0]?.text).toContain("own URL");
  });

  it("is measured alone: a stream may be longer, event by event", async () => {
    const body = message.repeat(4) + event(JSON.stringify(done));
    const alice = await machineThat({ body, headers: { "content-type": "text/event-stream" } });
    expect((await alice.tool("call_tool", call.arguments)).content).toEqual([{ type: "text", text: "done" }]);
  });
});
