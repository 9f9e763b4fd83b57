import { boundedSession } from "#protocol/bounded.ts";
import { detailsOf, type OperatorError, OperatorFailure } from "#protocol/error.ts";
import { DELTA_SUFFIX, type EventDetail, EventPage, type LoggedEvent, type LogPosition } from "#protocol/event.ts";
import { POLL_MS } from "#protocol/limits.ts";
import { ScriptPath } from "#protocol/script-api.ts";
import type { Env } from "../env.ts";
import { ended } from "../http/ended.ts";
import { askMachine } from "../machines/script-client.ts";
import { failureIn } from "../machines/machine-failure.ts";
import { sessionHandle } from "../machines/session-handle.ts";
import { handlesInValue } from "../machines/session-ids.ts";
import { isNewer } from "../user/news.ts";
import { decodeCursor, encodeCursor, type Vector } from "./cursor.ts";
import type { Selection } from "./selection.ts";

/**
 * Without a cursor a reader starts this many events before the end of each log. A session's reader starts at the log's
 * beginning.
 */
const RECENT_EVENTS = 50;

/** Machines asked at the same time. */
const AT_ONCE = 16;

/**
 * A poll that waited continues for this long after the first event, because events come in groups: the end of a turn makes
 * three. The client then needs one poll for all of them. Milliseconds; too short to notice for someone who waits.
 */
const GATHER_MS = 250;

/** How long to wait for one machine's script. After that the answer is sent without its events. */
const PAGE_TIMEOUT_MS = 5_000;

export type PollRequest = Readonly<Selection> & {
  readonly user: string;
  readonly cursor: string | null;
  readonly timeoutMs: number;
  readonly detail: EventDetail;
  /** Aborted when the caller's token is revoked; ends the wait. */
  readonly signal: AbortSignal;
};

/** An event of one of several machines. `session` is a handle `<machine>/<id>`, which every session tool accepts. */
export type MachineEvent = Omit<LoggedEvent, "session"> & { machine: string; session: string | null };

export type PollResult = {
  events: MachineEvent[];
  cursor: string;
  /** There are further events already, so poll again immediately. */
  more: boolean;
  /** Machines whose log was trimmed or started anew after the cursor, so that some of their events are missing. */
  gaps: string[];
  /** Machines that did not answer. A later poll returns their events. */
  errors: ({ machine: string } & ReturnType<typeof detailsOf>)[];
};

/** A poll's result, and the position in each machine's log where it started to read. */
export type Polled = { result: PollResult; began: Vector };

type Page = { name: string; page: EventPage } | { name: string; error: OperatorError };

/**
 * Returns the events after the cursor in the logs of a user's machines, and waits up to `timeoutMs` if there are none yet.
 * It asks only machines whose scripts have reported something newer than the cursor. Reading consumes nothing, because the
 * position is in the reader's cursor. Throws `OperatorFailure` invalid_request for an invalid cursor.
 */
export async function poll(env: Env, request: PollRequest): Promise<Polled> {
  const registry = env.USER.getByName(request.user);
  const untilMs = Date.now() + Math.min(Math.max(request.timeoutMs, 0), POLL_MS);
  const vector = beginningOf(request.cursor);
  for (;;) {
    const newest: Record<string, LogPosition | null> = await registry.positions(request.machines);
    if (request.cursor === null) begin(vector, newest, request.session);
    const due = Object.keys(newest).filter((name) => isNewer(newest[name] ?? null, vector[name]));
    const began = { ...vector };
    const pages = await inBatches(due, AT_ONCE, (name) => read(env, request, name, vector[name]));
    const result = gather(pages, vector);
    const leftMs = untilMs - Date.now();
    const isNews = result.events.length > 0 || result.gaps.length > 0 || result.errors.length > 0;
    if (isNews || leftMs <= 0)
      return { result: { ...result, cursor: encodeCursor(keep(vector, newest, request.machines)) }, began };
    await Promise.race([registry.awaitNews(vector, request.machines, leftMs), ended(request.signal)]);
    if (!request.signal.aborted && request.detail === "coarse")
      await Promise.race([scheduler.wait(Math.min(GATHER_MS, leftMs)), ended(request.signal)]);
    if (request.signal.aborted) throw new OperatorFailure({ code: "unauthorized" });
  }
}

function beginningOf(cursor: string | null): Vector {
  if (cursor === null) return {};
  const vector = decodeCursor(cursor);
  if (vector === null)
    throw new OperatorFailure({
      code: "invalid_request",
      reason: "This is not a cursor of poll_events. Leave it out to start anew.",
    });
  return vector;
}

/** Adds to `vector` a starting position for each machine that the reader has not read from before. */
function begin(vector: Vector, newest: Record<string, LogPosition | null>, session: string | null): void {
  for (const [name, position] of Object.entries(newest)) {
    if (position === null || vector[name] !== undefined) continue;
    vector[name] = { epoch: position.epoch, seq: session === null ? Math.max(0, position.seq - RECENT_EVENTS) : 0 };
  }
}

async function read(env: Env, request: PollRequest, name: string, after: LogPosition | undefined): Promise<Page> {
  const query = new URLSearchParams({ epoch: after?.epoch ?? "", seq: String(after?.seq ?? 0) });
  if (request.session !== null) query.set("session", request.session);
  if (request.detail !== "coarse") query.set("detail", request.detail);
  const signal = AbortSignal.timeout(PAGE_TIMEOUT_MS);
  try {
    const response = await askMachine(env, request.user, name, `${ScriptPath.EVENTS}?${query}`, { signal });
    if (!response.ok) return { name, error: await failureIn(response, name) };
    const page = EventPage.parse(await response.json());
    // The script of an older template returns all events.
    if (request.detail === "coarse") page.events = page.events.filter(({ type }) => !type.endsWith(DELTA_SUFFIX));
    // A session's reader without a cursor starts at 0 on purpose, so trimmed rows are no gap to it. Neither are they for a
    // machine that is new to the cursor.
    const gap = page.gap && after !== undefined && !(request.cursor === null && request.session !== null);
    return { name, page: { ...page, gap } };
  } catch (reason) {
    const timeout = { code: "machine_timeout", machine: name, afterMs: PAGE_TIMEOUT_MS } as const;
    return {
      name,
      error: signal.aborted ? timeout : { code: "machine_failed", machine: name, reason: String(reason) },
    };
  }
}

/** Merges pages and advances `vector`. Events of one machine keep their order; those of several machines are merged by time. */
function gather(pages: readonly Page[], vector: Vector): Omit<PollResult, "cursor"> {
  const result: Omit<PollResult, "cursor"> = { events: [], more: false, gaps: [], errors: [] };
  const timed: { timeMs: number; event: MachineEvent }[] = [];
  for (const one of pages) {
    if ("error" in one) {
      result.errors.push({ ...detailsOf(one.error), machine: one.name });
      continue;
    }
    const { name, page } = one;
    let timeMs = 0; // never decreases within one machine, even if its clock was set back
    for (const event of page.events) {
      timeMs = Math.max(timeMs, event.atMs);
      const known = boundedSession(event.session); // a log may hold longer ids from before the limit existed
      const session = known === null ? null : sessionHandle(name, known);
      timed.push({ timeMs, event: { machine: name, ...event, session, data: dataOf(name, event) } });
    }
    vector[name] = page.position;
    if (page.gap) result.gaps.push(name);
    result.more ||= page.more;
  }
  result.events = timed.sort((one, other) => one.timeMs - other.timeMs).map(({ event }) => event);
  return result;
}

/**
 * Type prefix of events that are notifications of a machine's MCP server. Their data belongs to that server and is not
 * changed.
 */
const NOTIFICATION = "mcp.";

/** An event's data, with session ids replaced by handles. */
function dataOf(machine: string, { type, data }: LoggedEvent): LoggedEvent["data"] {
  return type.startsWith(NOTIFICATION) ? data : handlesInValue(data, machine, new Set());
}

/**
 * Drops machines that no longer exist from the cursor, which would otherwise grow without end. Positions of machines that were
 * not asked stay.
 */
function keep(vector: Vector, newest: Record<string, LogPosition | null>, asked: readonly string[] | null): Vector {
  return asked === null ? Object.fromEntries(Object.entries(vector).filter(([name]) => name in newest)) : vector;
}

async function inBatches<Item, Result>(
  items: readonly Item[],
  size: number,
  work: (item: Item) => Promise<Result>,
): Promise<Result[]> {
  const results: Result[] = [];
  for (let at = 0; at < items.length; at += size)
    results.push(...(await Promise.all(items.slice(at, at + size).map(work))));
  return results;
}
