import { afterAll, beforeAll, expect, test } from "vitest";
import * as z from "zod";
import { Random } from "../../scripts/system/random.ts";
import { client } from "./support/clients.ts";
import { CutProxy } from "./support/cut-proxy.ts";
import { until, within } from "./support/eventually.ts";
import { send } from "./support/http.ts";
import { Machine } from "./support/machine.ts";
import type { TestOperator } from "./support/operator.ts";
import { startPublicOperator } from "./support/public-operator.ts";
import { ScriptedServer } from "./support/scripted-server.ts";

/** OPERATOR_CUTS=1000 for the long form; each takes some 100 ms. The seed repeats a run. */
const CUTS = Number(process.env["OPERATOR_CUTS"] ?? 60);
const SEED = Number(process.env["OPERATOR_SEED"] ?? 7);

/** Enough for a TLS handshake, an upgrade, a hello and several calls. */
const MOST_BYTES = 6_000;

/** A hang guard for one answer on a busy computer. */
const ANSWER_MS = 15_000;

const Call = z.object({ id: z.number(), params: z.object({ name: z.string() }) });
const Polled = z.object({
  events: z.array(z.object({ machine: z.string(), type: z.string(), data: z.unknown() })),
  cursor: z.string(),
  more: z.boolean(),
});

let operator: TestOperator;
let proxy: CutProxy;
let attic: Machine;
/** How often the machine's server has received each call. */
const received = new Map<string, number>();

beforeAll(async () => {
  operator = await startPublicOperator();
  const server = await ScriptedServer.start((request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => {
      const sent = Call.safeParse(JSON.parse(Buffer.concat(chunks).toString() || "null"));
      if (!sent.success) return void response.writeHead(405).end();
      const { id, params } = sent.data;
      received.set(params.name, (received.get(params.name) ?? 0) + 1);
      response.writeHead(200, { "content-type": "application/json" });
      response.end(JSON.stringify({ jsonrpc: "2.0", id, result: { said: params.name } }));
    });
  });
  operator.own(server);
  proxy = await CutProxy.start(() => operator.port);
  operator.own(proxy);
  attic = await Machine.add(operator, "attic", server.url, { dial: (link) => proxy.through(link) });
});

afterAll(() => operator[Symbol.asyncDispose]());

/** One call. Its answer is the server's own, or a typed error that says whether it may have been carried out. */
async function call(name: string): Promise<"answered" | "failed"> {
  const body = JSON.stringify({ jsonrpc: "2.0", id: 1, method: "tools/call", params: { name } });
  const headers = { "content-type": "application/json", "mcp-protocol-version": "2025-11-25" };
  const answer = await within(ANSWER_MS, `the answer to ${name}`, send(attic.url, { headers, body }));
  const message = JSON.parse(answer.text);
  const times = received.get(name) ?? 0;
  if (answer.status === 200) {
    expect([message.result, times]).toEqual([{ said: name }, 1]);
    return "answered";
  }
  expect(message.error?.data?.code, answer.text).toMatch(/^(?:link_lost|machine_offline)$/);
  expect(times).toBeLessThanOrEqual(message.error.data.code === "machine_offline" ? 0 : 1);
  return "failed";
}

test(
  `${CUTS} random cuts between a connector and the front lose and duplicate no event (seed ${SEED})`,
  { timeout: 120_000 + CUTS * 2_000 },
  async () => {
    const random = new Random(SEED, "cuts");
    const outcomes = new Set<string>();
    await using follower = await client(operator.mcpUrl, "2026-07-28", {
      authorization: `Bearer ${await operator.token()}`,
    });
    const poll = async (cursor?: string) => {
      const args = { timeout_ms: 0, ...(cursor === undefined ? {} : { cursor }) };
      const { structuredContent } = await follower.callTool({ name: "poll_events", arguments: args });
      return Polled.parse(structuredContent);
    };
    let { cursor } = await poll();
    for (let cut = 1; cut <= CUTS; cut += 1) {
      const state = { isCut: false };
      const direction = random.chance(0.5) ? "up" : "down";
      void proxy.cutAfter(direction, random.integer(1, MOST_BYTES)).then(() => (state.isCut = true));
      attic.push({ atMs: cut, type: "message", session: "s", data: cut });
      for (let attempt = 1; !state.isCut; attempt += 1) outcomes.add(await call(`${cut}.${attempt}`));
    }
    await attic.online();
    // A cut that comes between two calls fails none of them.
    expect([...outcomes].toSorted()).toContain("answered");
    const told: unknown[] = [];
    await until("every event", async () => {
      const page = await poll(cursor);
      ({ cursor } = page);
      told.push(...page.events.filter(({ type }) => type === "message").map(({ data }) => data));
      return told.length >= CUTS && !page.more;
    });
    expect(told).toEqual(Array.from({ length: CUTS }, (_, index) => index + 1));
  },
);
