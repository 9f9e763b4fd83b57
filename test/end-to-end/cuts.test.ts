import { Agent } from "node:https";
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

/** OPERATOR_CUTS=1000 for the long form. The seed repeats a run. */
const CUTS = Number(process.env["OPERATOR_CUTS"] ?? 60);
const SEED = Number(process.env["OPERATOR_SEED"] ?? 7);

/** Machines whose links are cut at the same time, each by itself: while one dials again, the others go on. */
const MACHINES = CUTS > 100 ? 10 : 4;

/** Enough for a TLS handshake, an upgrade, a hello and several calls. */
const MOST_BYTES = 6_000;

/** A hang guard for one answer on a busy computer. */
const ANSWER_MS = 15_000;

const Call = z.object({ id: z.number(), params: z.object({ name: z.string() }) });
const Failed = z.enum(["link_lost", "machine_offline"]);
const Polled = z.object({
  events: z.array(z.object({ machine: z.string(), type: z.string(), data: z.unknown() })),
  cursor: z.string(),
  more: z.boolean(),
});

/** What happened to one machine's calls: how many there were of each outcome. */
type Outcomes = Record<"answered" | "link_lost" | "machine_offline", number>;

/** A machine whose link goes through a proxy that can cut it. */
type Cuttable = {
  readonly machine: Machine;
  readonly proxy: CutProxy;
  /** How often its server has received each call. */
  readonly received: Map<string, number>;
  readonly outcomes: Outcomes;
};

let operator: TestOperator;
/** Keeps its connections, so that the links are all that has to be opened again. */
const agent = new Agent({ keepAlive: true });

beforeAll(async () => {
  operator = await startPublicOperator();
});

afterAll(async () => {
  agent.destroy();
  await operator[Symbol.asyncDispose]();
});

async function addMachine(name: string): Promise<Cuttable> {
  const received = new Map<string, number>();
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
  const proxy = await CutProxy.start(() => operator.port);
  operator.own(proxy);
  const machine = await Machine.add(operator, name, server.url, { dial: (link) => proxy.through(link) });
  return { machine, proxy, received, outcomes: { answered: 0, link_lost: 0, machine_offline: 0 } };
}

/** One call. Its answer is the server's own, or a typed error that says whether it may have been carried out. */
async function call({ machine, received, outcomes }: Cuttable, name: string): Promise<boolean> {
  const body = JSON.stringify({ jsonrpc: "2.0", id: 1, method: "tools/call", params: { name } });
  const headers = { "content-type": "application/json", "mcp-protocol-version": "2025-11-25" };
  const answer = await within(ANSWER_MS, `the answer to ${name}`, send(machine.url, { headers, body, agent }));
  const message = JSON.parse(answer.text);
  const times = received.get(name) ?? 0;
  if (answer.status === 200) {
    expect([message.result, times]).toEqual([{ said: name }, 1]);
    outcomes.answered += 1;
    return true;
  }
  const { error: unexpected, data: code } = Failed.safeParse(message.error?.data?.code);
  if (unexpected !== undefined)
    throw new Error(`an answer to ${name} that nobody expects: HTTP ${answer.status} ${answer.text}`);
  expect(times).toBeLessThanOrEqual(code === "machine_offline" ? 0 : 1);
  outcomes[code] += 1;
  return false;
}

/** Cuts one machine's link again and again while it is called, with an event on its way at each cut. */
async function cutOften(one: Cuttable, cuts: number): Promise<void> {
  const random = new Random(SEED, `cuts of ${one.machine.name}`);
  for (let cut = 1; cut <= cuts; cut += 1) {
    const state = { isCut: false };
    const direction = random.chance(0.5) ? "up" : "down";
    void one.proxy.cutAfter(direction, random.integer(1, MOST_BYTES)).then(() => (state.isCut = true));
    one.machine.push({ atMs: cut, type: "message", session: "s", data: cut });
    for (let attempt = 1; !state.isCut; attempt += 1) {
      const { length } = one.machine.epochs;
      if (await call(one, `${cut}.${attempt}`)) continue;
      await until("another link, or its cut", () => state.isCut || one.machine.epochs.length > length);
    }
  }
  await one.machine.online();
}

test(
  `${CUTS} random cuts between connectors and the front lose and duplicate no call and no event (seed ${SEED})`,
  { timeout: 120_000 + CUTS * 2_000 },
  async () => {
    const startedMs = performance.now();
    const machines = await Promise.all(Array.from({ length: MACHINES }, (_, index) => addMachine(`machine-${index}`)));
    const shares = machines.map((_, index) => Math.floor((CUTS + index) / MACHINES));
    await using follower = await client(operator.mcpUrl, "2026-07-28", {
      authorization: `Bearer ${await operator.token()}`,
    });
    const poll = async (cursor?: string) => {
      const args = { timeout_ms: 0, ...(cursor === undefined ? {} : { cursor }) };
      const { structuredContent } = await follower.callTool({ name: "poll_events", arguments: args });
      return Polled.parse(structuredContent);
    };
    let { cursor } = await poll();
    await Promise.all(machines.map((one, index) => cutOften(one, shares[index] ?? 0)));

    const told = new Map<string, unknown[]>(machines.map(({ machine }) => [machine.name, []]));
    await until("every event", async () => {
      const page = await poll(cursor);
      ({ cursor } = page);
      for (const { machine, type, data } of page.events) if (type === "message") told.get(machine)?.push(data);
      return [...told.values()].flat().length >= CUTS && !page.more;
    });
    for (const [index, { machine }] of machines.entries())
      expect([machine.name, told.get(machine.name)]).toEqual([
        machine.name,
        Array.from({ length: shares[index] ?? 0 }, (_, event) => event + 1),
      ]);

    const sum = (pick: (one: Cuttable) => number): number => machines.reduce((total, one) => total + pick(one), 0);
    const outcomes = {
      cuts: CUTS,
      links: sum(({ machine }) => machine.epochs.length),
      events: [...told.values()].flat().length,
      answered: sum((one) => one.outcomes.answered),
      link_lost: sum((one) => one.outcomes.link_lost),
      machine_offline: sum((one) => one.outcomes.machine_offline),
      seconds: Math.round((performance.now() - startedMs) / 1000),
    };
    console.log(JSON.stringify(outcomes));
    // A cut that comes between two calls fails none of them, and not each dial that is cut was a link.
    expect(outcomes.answered).toBeGreaterThan(CUTS / 2);
    expect(outcomes.links).toBeGreaterThan(CUTS / 2);
  },
);
