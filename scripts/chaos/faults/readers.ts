import { request } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import type { Fault } from "./fault.ts";

const READERS = 8;
const ANSWER_BYTES = 5_000_000;

let next = 0;

/** Clients that request a large answer, read none of it, and disconnect abruptly. */
export const READER_FAULTS: readonly Fault[] = [
  {
    name: "vanished readers",
    weight: 2,
    async inject({ operator, machines, ledger }, random) {
      const machine = random.pick(machines);
      const requests = Array.from({ length: READERS }, () => {
        const id = `reader-${(next += 1)}`;
        const call = ledger.begin({ id, machine: machine.name, way: "machine", startedMs: performance.now() });
        const params = { name: "work", arguments: { id, bytes: ANSWER_BYTES } };
        const outgoing = request(`${operator.url}/m/${machine.name}/mcp`, {
          method: "POST",
          agent: false,
          headers: {
            ...operator.headers,
            "content-type": "application/json",
            accept: "application/json, text/event-stream",
            "mcp-protocol-version": "2025-11-25",
          },
        });
        outgoing.on("response", (response) => response.pause());
        outgoing.on("error", () => undefined); // expected: the client itself breaks the connection
        outgoing.end(JSON.stringify({ jsonrpc: "2.0", id, method: "tools/call", params }));
        return { outgoing, call };
      });
      await sleep(random.integer(500, 4_000));
      for (const { outgoing, call } of requests) {
        outgoing.destroy();
        ledger.end(call, { kind: "abandoned" });
      }
      return [];
    },
  },
];
