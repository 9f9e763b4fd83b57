import { once } from "node:events";
import { type ClientRequest, type IncomingMessage, request } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import type { Call } from "../ledger.ts";
import type { World } from "../world.ts";
import type { Fault } from "./fault.ts";

const READERS = 8;
const ANSWER_BYTES = 5_000_000;

/** A slow reader takes this much at a time, and then pauses: some 15 s for the whole answer. */
const SLOW_BYTES = 50_000;
const SLOW_PAUSE_MS = 150;

/** A slow reader must get the whole answer, or be told that it broke off, within this time. */
const SLOW_LIMIT_MS = 90_000;

let next = 0;

/** Requests a large answer of a machine. */
function requestLarge(
  { operator, ledger }: World,
  machine: string,
): { outgoing: ClientRequest; call: Call; id: string } {
  const id = `reader-${(next += 1)}`;
  const call = ledger.begin({ id, machine, way: "machine", startedMs: performance.now() });
  const params = { name: "work", arguments: { id, bytes: ANSWER_BYTES } };
  const outgoing = request(`${operator.url}/m/${machine}/mcp`, {
    method: "POST",
    agent: false,
    headers: operator.mcpHeaders,
  });
  outgoing.end(JSON.stringify({ jsonrpc: "2.0", id, method: "tools/call", params }));
  return { outgoing, call, id };
}

/** Reads an answer slowly to its end. Nothing else breaks meanwhile, so it must be whole. */
async function readSlowly(world: World, machine: string): Promise<void> {
  const { outgoing, call, id } = requestLarge(world, machine);
  const bound = setTimeout(() => outgoing.destroy(new Error("not read to its end in time")), SLOW_LIMIT_MS);
  try {
    const [response] = (await once(outgoing, "response")) as [IncomingMessage];
    let text = "";
    let taken = 0;
    response.setEncoding("utf8");
    for await (const chunk of response) {
      text += chunk;
      taken += (chunk as string).length;
      if (taken < SLOW_BYTES) continue;
      taken = 0;
      await sleep(SLOW_PAUSE_MS);
    }
    const isWhole = text.includes(id) && text.length > ANSWER_BYTES && text.endsWith("}");
    world.ledger.end(call, isWhole ? { kind: "answered" } : { kind: "wrong", got: `${text.length} characters` });
  } catch (reason) {
    world.ledger.end(call, { kind: "broken", reason: String(reason) });
    world.ledger.violations.push(`a slow reader of ${machine} was cut off: ${String(reason)}`);
  } finally {
    clearTimeout(bound);
  }
}

/** Clients that read a large answer slowly, or disconnect abruptly without reading it. */
export const READER_FAULTS: readonly Fault[] = [
  {
    name: "slow readers",
    weight: 1,
    async inject(world, random) {
      const { name } = random.pick(world.machines);
      await Promise.all([readSlowly(world, name), readSlowly(world, name)]);
      return [];
    },
  },
  {
    name: "vanished readers",
    weight: 2,
    async inject(world, random) {
      const { name } = random.pick(world.machines);
      const readers = Array.from({ length: READERS }, () => requestLarge(world, name));
      for (const { outgoing } of readers) {
        outgoing.on("response", (response) => response.pause());
        outgoing.on("error", () => undefined); // expected: the client itself breaks the connection
      }
      await sleep(random.integer(500, 4_000));
      for (const { outgoing, call } of readers) {
        outgoing.destroy();
        world.ledger.end(call, { kind: "abandoned" });
      }
      return [];
    },
  },
];
