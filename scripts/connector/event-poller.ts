import type { CallToolResult, Client, Tool } from "@modelcontextprotocol/client";
import type { PushedEvent } from "#protocol/event.ts";
import { wait, type Clock } from "./clock.ts";
import { polledEvents } from "./polled-events.ts";

/** The tool that hands out a server's events. */
export const POLL_TOOL = "poll_events";

/** What `poll_events` is asked to wait for something to happen. */
const LONG_POLL_MS = 25_000;

/** A poll that has said nothing by then is taken for lost. */
const POLL_TIMEOUT_MS = LONG_POLL_MS + 20_000;

/** A server that answers polls at once, with nothing, must not keep a core busy. */
const EMPTY_POLL_PAUSE_MS = 250;

/** After the end of its HTTP answer a poll has its result; a server that was stopped may end the one without the other. */
const RESULT_GRACE_MS = 1_000;

/** Long-polls one server's events, in one session of its own. */
export class EventPoller {
  readonly #client: Client;
  readonly #clock: Clock;
  readonly #signal: AbortSignal;
  /** Names of the tool's parameters. */
  readonly #takes: readonly string[];
  #answerEnded: () => void = () => undefined;

  constructor(client: Client, tool: Tool, clock: Clock, signal: AbortSignal) {
    this.#client = client;
    this.#clock = clock;
    this.#signal = signal;
    this.#takes = Object.keys(tool.inputSchema.properties ?? {});
  }

  /** The HTTP answer to the poll under way is complete, or broke off. */
  answerEnded(): void {
    this.#answerEnded();
  }

  /**
   * Polls until the signal aborts. Throws when the session is lost, or the tool fails.
   *
   * @param from a cursor of that server, or `null`: what it has for a new client.
   */
  async run(from: string | null, push: (events: readonly PushedEvent[], cursor: string | null) => void): Promise<void> {
    const hasCursor = this.#takes.includes("cursor");
    let cursor = hasCursor ? from : null;
    while (!this.#signal.aborted) {
      const startedMs = this.#clock.nowMs();
      const result = await this.#poll(cursor);
      if (result.isError === true) {
        // A cursor of a server that was set up anew is refused; without one it hands out what it has.
        if (cursor === null) throw new Error(`${POLL_TOOL} fails: ${JSON.stringify(result.content).slice(0, 300)}`);
        cursor = null;
        continue;
      }
      const polled = polledEvents(result, this.#clock.nowMs());
      cursor = hasCursor ? (polled.cursor ?? cursor) : null;
      push(polled.events, cursor);
      if (polled.events.length === 0 && this.#clock.nowMs() - startedMs < EMPTY_POLL_PAUSE_MS)
        await wait(this.#clock, EMPTY_POLL_PAUSE_MS, this.#signal);
    }
  }

  async #poll(cursor: string | null): Promise<CallToolResult> {
    const args = {
      ...(this.#takes.includes("timeout_ms") ? { timeout_ms: LONG_POLL_MS } : {}),
      ...(cursor === null ? {} : { cursor }),
    };
    const broken = new AbortController();
    let forget = (): void => undefined;
    this.#answerEnded = () => {
      forget = this.#clock.after(RESULT_GRACE_MS, () => broken.abort(new Error("the server ended a poll unanswered")));
    };
    const signal = AbortSignal.any([this.#signal, broken.signal]);
    try {
      return await this.#client.callTool({ name: POLL_TOOL, arguments: args }, { signal, timeout: POLL_TIMEOUT_MS });
    } finally {
      this.#answerEnded = () => undefined;
      forget();
    }
  }
}
