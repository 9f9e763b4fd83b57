import type { CallToolResult, Client, Tool } from "@modelcontextprotocol/client";
import type { PushedEvent } from "#protocol/event.ts";
import { wait, type Clock } from "./clock.ts";
import { polledEvents } from "./polled-events.ts";

/** The tool that hands out a server's events. */
export const POLL_TOOL = "poll_events";

/** How CodeZ names the events of its tool calls: `mcp.tool_call.started`, and so on. */
const TOOL_CALL_TYPE = "mcp.tool_call";

/** The tool's name is a field of the event, or of an object not far below it. */
const OWN_CALL_DEPTH = 3;

/** What `poll_events` is asked to wait for something to happen. */
const LONG_POLL_MS = 25_000;

/** A poll that has said nothing by then is taken for lost. */
const POLL_TIMEOUT_MS = LONG_POLL_MS + 20_000;

/** A server that answers polls at once, with nothing, must not keep a core busy. */
const EMPTY_POLL_PAUSE_MS = 250;

/**
 * A server without cursors is asked this often at most while it has events. Each poll is itself an event at some servers
 * (CodeZ makes two of each tool call), so that the next poll would return at once, and so on for as long as it runs.
 */
const DRAIN_INTERVAL_MS = 1_000;

/** While it has nothing to tell but of our own polls, it is asked less and less often, down to this. */
const QUIET_INTERVAL_MS = 5_000;

/** After the end of its HTTP answer a poll has its result; a server that was stopped may end the one without the other. */
const RESULT_GRACE_MS = 1_000;

/** Whether a server's `poll_events` reads from a position, so that several readers each get every event. */
export function hasCursor(poll: Tool): boolean {
  return poll.inputSchema.properties !== undefined && "cursor" in poll.inputSchema.properties;
}

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
    const reads = this.#takes.includes("cursor");
    let cursor = reads ? from : null;
    let intervalMs = DRAIN_INTERVAL_MS;
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
      cursor = reads ? (polled.cursor ?? cursor) : null;
      const events = polled.events.filter((event) => !isOwnCall(event));
      push(events, cursor);
      const tookMs = this.#clock.nowMs() - startedMs;
      if (!reads && polled.events.length > 0) {
        intervalMs = events.length > 0 ? DRAIN_INTERVAL_MS : Math.min(2 * intervalMs, QUIET_INTERVAL_MS);
        if (tookMs < intervalMs) await wait(this.#clock, intervalMs - tookMs, this.#signal);
      } else if (events.length === 0 && tookMs < EMPTY_POLL_PAUSE_MS) {
        await wait(this.#clock, EMPTY_POLL_PAUSE_MS, this.#signal);
      }
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

/**
 * Whether an event tells of a poll of ours. A server that reports its tool calls says which tool in some field of the event;
 * any call of `poll_events` is left out, since another reader's polls are no news either.
 */
function isOwnCall({ type, data }: PushedEvent): boolean {
  return type.startsWith(TOOL_CALL_TYPE) && mentions(data, POLL_TOOL, OWN_CALL_DEPTH);
}

function mentions(value: unknown, text: string, depth: number): boolean {
  if (value === text) return true;
  if (typeof value !== "object" || value === null || depth === 0) return false;
  return Object.values(value).some((part) => mentions(part, text, depth - 1));
}
