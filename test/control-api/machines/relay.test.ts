import { describe, expect, it } from "vitest";
import type { OperatorError } from "#protocol/error.ts";
import type { Env } from "../../../control-api/src/env.ts";
import { knock, ORIGIN, TestUser } from "../support/operator.ts";
import type { Plan } from "../../support/stand-in/dispatcher.ts";

/** The way to a script that fares like this: what its service binding then does. */
function wayTo(fetch: () => Promise<Response>): Partial<Env> {
  return { DISPATCHER: { fetch } as unknown as Fetcher };
}

const dies = wayTo(() => Promise.reject(new Error("Network connection lost.")));

function dyingAfter(text: string): ReadableStream<Uint8Array> {
  let told = false;
  return new ReadableStream({
    type: "bytes",
    pull(controller) {
      if (told) controller.error(new Error("Network connection lost."));
      else controller.enqueue(new TextEncoder().encode(text));
      told = true;
    },
  });
}

/** Dies after one event of its answer. */
const diesInMidAnswer = wayTo(() => {
  const stream = dyingAfter('data: {"method":"notifications/progress"}\n\n');
  return Promise.resolve(new Response(stream, { headers: { "content-type": "text/event-stream" } }));
});

/** A script's event stream of these chunks, which ends without an error whatever happened to the script. */
function streams(chunks: readonly string[], marks: boolean, type = "text/event-stream"): Partial<Env> {
  return wayTo(() => {
    const left = chunks.map((chunk) => new TextEncoder().encode(chunk));
    const stream = new ReadableStream<Uint8Array>({
      pull(controller) {
        const chunk = left.shift();
        if (chunk === undefined) controller.close();
        else controller.enqueue(chunk);
      },
    });
    const headers = { "content-type": type, ...(marks ? { "x-operator-mark-end": "1" } : {}) };
    return Promise.resolve(new Response(stream, { headers }));
  });
}

/** A script's JSON answer that announces this length, and breaks off after a few bytes. */
function breaksOff(length: number): Partial<Env> {
  return wayTo(() => {
    const headers = { "content-type": "application/json", "content-length": String(length) };
    return Promise.resolve(new Response(dyingAfter('{"res'), { headers }));
  });
}

const REQUEST = { jsonrpc: "2.0", id: "id-7", method: "tools/call", params: { name: "dig" } };
const BODY = JSON.stringify(REQUEST);

/** One call at the own URL of a machine whose script behaves like this. */
async function call(plan: Partial<Plan>, overrides: Partial<Env> = {}): Promise<Response> {
  const alice = new TestUser();
  await alice.machine("attic", plan);
  const url = `${ORIGIN}/m/${await alice.slug("attic")}/mcp`;
  const init = {
    method: "POST",
    headers: { "content-type": "application/json", "content-length": String(BODY.length) },
    body: BODY,
  };
  return knock(url, init, { LOOPBACK_OWNER: alice.id, ...overrides });
}

/** The error of the same call at `/mcp`. */
async function failure(plan: Partial<Plan>): Promise<unknown> {
  const alice = new TestUser();
  await alice.machine("attic", plan);
  const { structuredContent } = await alice.tool("call_tool", { machineId: "attic", name: "dig" });
  return structuredContent?.["error"];
}

describe("a call at a machine's own URL", () => {
  it("fails with link_lost under the request's id if the script dies before it answers, because it may have run", async () => {
    const response = await call({}, dies);
    expect(response.status).toBe(502);
    expect(await response.json()).toMatchObject({
      id: "id-7",
      error: {
        message: expect.stringContaining("may have been carried out"),
        data: { code: "link_lost", machine: "attic" },
      },
    });
  });

  it("ends with an event that reports the loss if the script dies in the middle of an event stream", async () => {
    const response = await call({}, diesInMidAnswer);
    expect(response.status).toBe(200);
    const events = (await response.text()).split("\n\n").filter((event) => event.trim() !== "");
    expect(events).toHaveLength(2);
    expect(JSON.parse(events[1]?.replace(/^event: message\ndata: /, "") ?? "")).toMatchObject({
      id: "id-7",
      error: { data: { code: "link_lost" } },
    });
  });

  it.each<[string, string[], string, boolean]>([
    ["has the mark", ["data: 1\n\n", "data: 2\n\n", "\u0003"], "data: 1\n\ndata: 2\n\n", false],
    ["has the mark in the chunk of its last event", ["data: 1\n\ndata: 2\n\n\u0003"], "data: 1\n\ndata: 2\n\n", false],
    ["has that byte elsewhere too", ["data: \u0003", "\u0003", "\n\n", "\u0003"], "data: \u0003\u0003\n\n", false],
    ["lacks the mark", ["data: 1\n\n"], "data: 1\n\n", true],
    ["lacks all", [], "", true],
  ])("with an event stream that ends, and %s", async (_, chunks, passed, isCut) => {
    const response = await call({}, streams(chunks, true));
    const text = await response.text();
    expect(response.headers.has("x-operator-mark-end")).toBe(false);
    expect(text.slice(0, passed.length)).toBe(passed);
    const rest = text.slice(passed.length);
    if (!isCut) return expect(rest).toBe("");
    expect(JSON.parse(rest.trim().replace(/^event: message\ndata: /, ""))).toMatchObject({
      id: "id-7",
      error: { data: { code: "link_lost", machine: "attic" } },
    });
  });

  it.each(["Text/Event-Stream", "TEXT/EVENT-STREAM; charset=utf-8"])(
    "with an event stream of type %s",
    async (type) => {
      const whole = await call({}, streams(["data: 1\n\n", "\u0003"], true, type));
      expect([whole.headers.get("content-type"), await whole.text()]).toEqual([type, "data: 1\n\n"]);
      const cut = await call({}, streams(["data: 1\n\n"], true, type));
      expect(await cut.text()).toContain("link_lost");
    },
  );

  it("passes unchanged from a script whose version writes no marks", async () => {
    const response = await call({}, streams(["data: 1\n\n", "\u0003"], false));
    expect(await response.text()).toBe("data: 1\n\n\u0003");
  });

  it("fails with link_lost if a small answer breaks off, since nothing of it has been passed on", async () => {
    const response = await call({}, breaksOff(100));
    expect(response.status).toBe(502);
    expect(await response.json()).toMatchObject({
      id: "id-7",
      error: { data: { code: "link_lost", machine: "attic" } },
    });
  });

  it("fails with link_lost if a small answer turns out to be a large one", async () => {
    const headers = { "content-type": "application/json", "content-length": "100" };
    const liar = wayTo(() => Promise.resolve(new Response("x".repeat(100_000), { headers })));
    const response = await call({}, liar);
    expect(response.status).toBe(502);
    expect(await response.json()).toMatchObject({ id: "id-7", error: { data: { code: "link_lost" } } });
  });

  it("breaks off with a large answer that does", async () => {
    const response = await call({}, breaksOff(1_000_000));
    expect(response.status).toBe(200);
    expect(response.headers.get("content-length")).toBe("1000000");
    await expect(response.text()).rejects.toThrow();
  });

  it.each([
    ["HEAD", new Response(null, { headers: { "content-type": "application/json", "content-length": "100" } }), 200],
    ["an empty 202", new Response(null, { status: 202, headers: { "content-length": "0" } }), 202],
  ])("passes an answer without a body, such as that to %s", async (_, answer, status) => {
    const response = await call(
      {},
      wayTo(() => Promise.resolve(answer)),
    );
    expect(response.status).toBe(status);
    expect(await response.text()).toBe("");
  });

  it.each<[OperatorError, number]>([
    [{ code: "invalid_request", reason: "the head is too large" }, 400],
    [{ code: "machine_starting", machine: "some-slug" }, 503],
    [{ code: "machine_busy", machine: "some-slug", limit: 512 }, 429],
    [{ code: "agent_too_old", machine: "some-slug", reason: "its connector speaks protocol 0" }, 502],
    [{ code: "machine_failed", machine: "some-slug", reason: "it broke", mayHaveRun: true }, 502],
  ])(
    "gets under its id the same error with which a script or the dispatch Worker refuses it: %j",
    async (error, status) => {
      const response = await call({ fails: error });
      expect(response.status).toBe(status);
      const machine = "machine" in error ? { machine: "attic" } : {};
      expect(await response.json()).toMatchObject({ id: "id-7", error: { data: { ...error, ...machine } } });
    },
  );
});

describe("the same call at /mcp", () => {
  it.each<OperatorError>([
    { code: "invalid_request", reason: "the head is too large" },
    { code: "agent_too_old", machine: "attic", reason: "its connector speaks protocol 0" },
    { code: "machine_starting", machine: "attic" },
  ])("reports the script's own refusal, and not that the machine failed: %j", async (error) => {
    expect(await failure({ fails: error })).toMatchObject(error);
  });
});

// Both wait for the whole bound, so they wait at the same time.
describe.concurrent("a call whose script hangs while the connection stays open fails with machine_timeout", () => {
  it("at the machine's own URL", { timeout: 60_000 }, async () => {
    const response = await call({ hangs: true });
    expect(response.status).toBe(504);
    expect(await response.json()).toMatchObject({
      id: "id-7",
      error: { data: { code: "machine_timeout", afterMs: 30_000 } },
    });
  });

  it("at /mcp", { timeout: 60_000 }, async () => {
    expect(await failure({ hangs: true })).toMatchObject({ code: "machine_timeout", afterMs: 30_000 });
  });
});
