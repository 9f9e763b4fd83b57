import { setTimeout as sleep } from "node:timers/promises";
import type { Ledger } from "./ledger.ts";
import type { OperatorProcess } from "./operator-process.ts";

const POLL_MS = 1_000;
const ANSWER_LIMIT_MS = 20_000;
const PAUSE_MS = 500;

type Polled = { events: { machine: string; data: unknown }[]; cursor: string };

/** A client that reads events with `poll_events` and continues through all faults. */
export class Follower {
  readonly #operator: OperatorProcess;
  readonly #ledger: Ledger;
  #cursor: string | null = null;
  #stopped = false;

  constructor(operator: OperatorProcess, ledger: Ledger) {
    this.#operator = operator;
    this.#ledger = ledger;
  }

  async run(): Promise<void> {
    while (!this.#stopped) {
      try {
        this.#read(await this.#poll());
      } catch {
        await sleep(PAUSE_MS); // a fault is active; the cursor stays valid, so the next poll continues from it
      }
    }
  }

  /** Ends with the poll that is under way. */
  stop(): void {
    this.#stopped = true;
  }

  /** Starts at the current end of the log. */
  async begin(): Promise<void> {
    this.#cursor = (await this.#poll()).cursor;
  }

  #read({ events, cursor }: Polled): void {
    for (const { machine, data } of events) {
      const number = (data as { number?: unknown } | null)?.number;
      if (typeof number !== "number") continue;
      const seen = this.#ledger.seen.get(machine);
      if (seen === undefined) this.#ledger.seen.set(machine, [number]);
      else seen.push(number);
    }
    this.#cursor = cursor;
  }

  async #poll(): Promise<Polled> {
    const args = this.#cursor === null ? { timeout_ms: 0 } : { timeout_ms: POLL_MS, cursor: this.#cursor };
    const response = await fetch(`${this.#operator.url}/mcp`, {
      method: "POST",
      headers: this.#operator.mcpHeaders,
      body: JSON.stringify({
        jsonrpc: "2.0",
        id: 1,
        method: "tools/call",
        params: { name: "poll_events", arguments: args },
      }),
      signal: AbortSignal.timeout(ANSWER_LIMIT_MS),
    });
    const text = await response.text();
    const line = text.split("\n").findLast((one) => one.startsWith("data: "));
    const message = JSON.parse(line === undefined ? text : line.slice("data: ".length)) as {
      result?: { isError?: boolean; structuredContent?: Polled };
    };
    const polled = message.result?.structuredContent;
    if (polled === undefined || message.result?.isError === true)
      throw new Error(`a poll failed: ${text.slice(0, 300)}`);
    return polled;
  }
}
