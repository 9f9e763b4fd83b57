import { OperatorFailure } from "#protocol/error.ts";
import type { EventDetail, LogPosition } from "#protocol/event.ts";
import { parseJson } from "#protocol/json.ts";
import { POLL_MS } from "#protocol/limits.ts";
import type { Env } from "../env.ts";
import type { EventQuery, EventsRead, EventsRefused, StoredEvent } from "../history/event-query.ts";
import { ended } from "../http/ended.ts";
import { sessionHandle } from "../machines/session-handle.ts";
import { handlesInValue } from "../machines/session-ids.ts";
import { isMeant, shown } from "../http/shown-machine.ts";
import { decodeCursor, encodeCursor, machineIn } from "./cursor.ts";
import type { Selection } from "./selection.ts";

/** Pause before the second attempt when the user's object did not answer, for example because it is restarted. Milliseconds. */
const RETRY_MS = 1_000;

export type PollRequest = Readonly<Selection> & {
  readonly user: string;
  readonly cursor: string | null;
  readonly timeoutMs: number;
  readonly detail: EventDetail;
  /** Aborted when the caller's token is revoked; ends the wait. */
  readonly signal: AbortSignal;
} & Pick<EventQuery, "computer">;

/**
 * An event of one of several machines. `seq` is its number in that machine's own log; `session` is a handle `<machine>/<id>`,
 * which every session tool accepts.
 */
export type MachineEvent = {
  machine: string;
  seq: number;
  atMs: number;
  type: string;
  session: string | null;
  data: unknown;
};

type PollResult = {
  events: MachineEvent[];
  cursor: string;
  /** There are further events already, so poll again immediately. */
  more: boolean;
  /** Machines of which events after the cursor are missing: they were trimmed, or the machine's log was lost. */
  gaps: string[];
};

/**
 * A poll's result; the cursor after each of its events; and which computers they came from and the machine that was asked for is, of which no
 * client is told.
 */
export type Polled = { result: PollResult; cursors: string[]; identities: (string | null)[]; computer: string | null };

/**
 * Returns the events after the cursor, and waits up to `timeoutMs` if there are none yet. The user's object has them all, so no
 * machine is asked. Reading consumes nothing, because the position is in the reader's cursor.
 *
 * Throws `OperatorFailure`: invalid_request for what is no cursor, cursor_expired, machine_unknown, machine_replaced when another computer has
 * the machine's name than at the poll that gave the cursor, unauthorized when the caller's token was revoked meanwhile.
 */
export async function poll(env: Env, request: PollRequest): Promise<Polled> {
  const { visible, machine, session, project, types, notices, detail, signal } = request;
  const waitMs = Math.min(Math.max(request.timeoutMs, 0), POLL_MS);
  const query: EventQuery = {
    after: positionIn(request.cursor),
    visible,
    machine,
    session,
    project,
    types,
    notices,
    detail,
    waitMs,
    ...(request.computer !== undefined && { computer: request.computer }),
  };
  const read = await Promise.race([readOf(env, request, query), ended(signal)]);
  if (read === null) throw new OperatorFailure({ code: "unauthorized" });
  if (!("refused" in read)) return polledOf(read, machine);
  throw new OperatorFailure(
    read.refused === "cursor_expired" ? { code: "cursor_expired" } : { code: read.refused, machine: read.machine },
  );
}

/**
 * The first poll of an event stream. A browser's EventSource stops permanently when it gets an error. With `canStartAgain` the stream
 * therefore begins with what comes now if its cursor has expired, and `isExpired` says that events are missing.
 *
 * Throws as `poll` does.
 */
export async function firstPoll(
  env: Env,
  request: PollRequest,
  canStartAgain: boolean,
): Promise<{ polled: Polled; isExpired: boolean }> {
  try {
    return { polled: await poll(env, request), isExpired: false };
  } catch (reason) {
    const isExpired = reason instanceof OperatorFailure && reason.error.code === "cursor_expired";
    if (!isExpired || !canStartAgain) throw reason;
    const polled = await poll(env, { ...request, cursor: null });
    if (isAnother(request, polled.computer))
      throw new OperatorFailure({ code: "machine_replaced", machine: request.machine ?? "" });
    return { polled, isExpired };
  }
}

/** Reads on. If the cursor says which computer a machine was, it is found out before anything is waited for whether it still is. */
async function readOf(env: Env, request: PollRequest, query: EventQuery): Promise<EventsRead | EventsRefused> {
  const { user, cursor, computer } = request;
  if (computer !== undefined || cursor === null || machineIn(cursor) === null) return readFrom(env, user, query);
  const read = await readFrom(env, user, { ...query, waitMs: 0 });
  if ("refused" in read) return read;
  if (isAnother(request, read.computer)) return { refused: "machine_replaced", machine: request.machine ?? "" };
  if (query.waitMs === 0 || read.events.length > 0 || read.gaps.length > 0) return read;
  return readFrom(env, user, { ...query, computer: read.computer });
}

/** Whether the machine that is asked for is another computer than the one that had its name at the poll that gave the cursor. */
function isAnother({ cursor, machine }: PollRequest, computer: string | null): boolean {
  const before = cursor === null ? null : machineIn(cursor);
  return before?.name === machine && computer !== null && !isMeant(before, { identity: computer });
}

/** Asks the user's object. Reading changes nothing, so it can be repeated if the object is restarted during the wait. */
async function readFrom(env: Env, user: string, query: EventQuery): Promise<EventsRead | EventsRefused> {
  try {
    return await env.USER.getByName(user).pollEvents(query);
  } catch (reason) {
    console.warn("events could not be read, trying again", { user, reason: String(reason) });
    await scheduler.wait(RETRY_MS);
    return env.USER.getByName(user).pollEvents({ ...query, waitMs: 0 });
  }
}

function positionIn(cursor: string | null): LogPosition | null {
  const position = cursor === null ? null : decodeCursor(cursor);
  if (position === "expired") throw new OperatorFailure({ code: "cursor_expired" });
  if (cursor !== null && position === null)
    throw new OperatorFailure({
      code: "invalid_request",
      reason: "This is not a cursor of poll_events. Leave it out to start again.",
    });
  return position;
}

function polledOf({ events, position, more, gaps, computer }: EventsRead, machine: string | null): Polled {
  const of = machine === null || computer === null ? null : shown({ name: machine, identity: computer });
  return {
    result: { events: events.map(eventOf), cursor: encodeCursor(position, of), more, gaps: [...gaps] },
    cursors: events.map(({ seq }) => encodeCursor({ epoch: position.epoch, seq }, of)),
    identities: events.map(({ identity }) => identity),
    computer,
  };
}

/**
 * Type prefix of events that are notifications of a machine's MCP server. Their data belongs to that server and is not
 * changed.
 */
const NOTIFICATION = "mcp.";

/** The event as clients see it, with handles in place of session ids. */
function eventOf({ machine, machineSeq, atMs, type, session, data }: StoredEvent): MachineEvent {
  const parsed = parseJson(data);
  return {
    machine,
    seq: machineSeq,
    atMs,
    type,
    session: session === null ? null : sessionHandle(machine, session),
    data: type.startsWith(NOTIFICATION) ? parsed : handlesInValue(parsed, machine, new Set()),
  };
}
