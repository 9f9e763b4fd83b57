import type { CallToolResult, Client, Tool } from "@modelcontextprotocol/client";
import type { PushedEvent } from "#protocol/event.ts";
import { wait, type Clock } from "./clock.ts";
import { polledEvents } from "./polled-events.ts";

/** The tool with which a server's events are read. */
export const POLL_TOOL = "poll_events";

/** How CodeZ names the events of its tool calls: `mcp.tool_call.started`, and so on. */
const TOOL_CALL_TYPE = "mcp.tool_call";

/** How deep to look for the tool's name, which is a field of the event or of a nested object. */
const OWN_CALL_DEPTH = 3;

/** How long `poll_events` is asked to wait for an event. */
const LONG_POLL_MS = 25_000;

/** A poll without an answer after this time counts as lost. */
const POLL_TIMEOUT_MS = LONG_POLL_MS + 20_000;

/** Pause after an empty answer, because a server that answers immediately would otherwise keep a CPU core busy. */
const EMPTY_POLL_PAUSE_MS = 250;

/**
 * The shortest interval between polls of a server without cursors while it has events. Some servers report each poll as an event
 * (CodeZ reports two for each tool call), so the next poll would return immediately, and so on without end.
 */
const DRAIN_INTERVAL_MS = 1_000;

/** While its only events are about our own polls, it is polled less and less often, down to this interval. */
const QUIET_INTERVAL_MS = 5_000;

/**
 * How long after the end of its HTTP answer a poll may still lack its result. A server that is stopped may end the answer
 * without one.
 */
const RESULT_GRACE_MS = 1_000;

/** The longest cursor of a server. Operator's own have 64 characters, and one that lists the positions of a hundred sources a few thousand. */
const MAX_CURSOR_CHARACTERS = 16 * 1024;

/** Whether a server's `poll_events` takes a cursor, so that several readers can each get every event. */
export function hasCursor(poll: Tool): boolean {
  return poll.inputSchema.properties !== undefined && "cursor" in poll.inputSchema.properties;
}

/** Long-polls the events of one server in one session. */
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

  /** Call this when the HTTP answer to the current poll is complete or broke off. */
  answerEnded(): void {
    this.#answerEnded();
  }

  /**
   * Polls until the signal aborts. Throws when the session is lost, or the tool fails.
   *
   * @param from a cursor of that server, or `null` to start like a new client.
   */
  async run(from: string | null, push: (events: readonly PushedEvent[], cursor: string | null) => void): Promise<void> {
    const reads = this.#takes.includes("cursor");
    let cursor = reads ? from : null;
    let intervalMs = DRAIN_INTERVAL_MS;
    while (!this.#signal.aborted) {
      const startedMs = this.#clock.nowMs();
      const result = await this.#poll(cursor);
      if (result.isError === true) {
        // A server that was set up again refuses an old cursor. Without one it returns the events that it has.
        if (cursor === null) throw new Error(`${POLL_TOOL} fails: ${JSON.stringify(result.content).slice(0, 300)}`);
        cursor = null;
        continue;
      }
      const polled = polledEvents(result, this.#clock.nowMs());
      // It is stored with each event that comes, and a server could otherwise fill the disk.
      if ((polled.cursor?.length ?? 0) > MAX_CURSOR_CHARACTERS)
        throw new Error(`the cursor of ${POLL_TOOL} has over ${MAX_CURSOR_CHARACTERS} characters`);
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
 * Whether an event is about a poll. A server that reports its tool calls names the tool in some field of the event. Events about
 * any call of `poll_events` are dropped, including other readers' polls, which are of no interest either.
 */
function isOwnCall({ type, data }: PushedEvent): boolean {
  return type.startsWith(TOOL_CALL_TYPE) && mentions(data, POLL_TOOL, OWN_CALL_DEPTH);
}

function mentions(value: unknown, text: string, depth: number): boolean {
  if (value === text) return true;
  if (typeof value !== "object" || value === null || depth === 0) return false;
  return Object.values(value).some((part) => mentions(part, text, depth - 1));
}
