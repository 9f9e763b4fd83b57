import { OperatorFailure } from "#protocol/error.ts";
import type { EventDetail, LogPosition } from "#protocol/event.ts";
import { parseJson } from "#protocol/json.ts";
import { POLL_MS } from "#protocol/limits.ts";
import type { Env } from "../env.ts";
import type { EventQuery, EventsRead, EventsRefused, StoredEvent } from "../history/event-query.ts";
import { ended } from "../http/ended.ts";
import { sessionHandle } from "../machines/session-handle.ts";
import { handlesInValue } from "../machines/session-ids.ts";
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
};

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
 * A poll's result; the cursor after each of its events; which computers they came from, of which no client is told; and whether the
 * reader's cursor had expired (`pollOrStartAgain`).
 */
export type Polled = { result: PollResult; cursors: string[]; identities: (string | null)[]; isExpired: boolean };

/**
 * Returns the events after the cursor, and waits up to `timeoutMs` if there are none yet. The user's object has them all, so no
 * machine is asked. Reading consumes nothing, because the position is in the reader's cursor.
 *
 * Throws `OperatorFailure`: invalid_request for what is no cursor, cursor_expired, machine_unknown, machine_replaced when another computer has
 * the machine's name than at the poll that gave the cursor, unauthorized when the caller's token was revoked meanwhile.
 */
export async function poll(env: Env, request: PollRequest): Promise<Polled> {
  return pollAfter(env, request, positionIn(request.cursor));
}

async function pollAfter(env: Env, request: PollRequest, after: LogPosition | null): Promise<Polled> {
  const { visible, machine, session, project, types, notices, detail, signal } = request;
  const before = machineIn(request.cursor);
  const waitMs = Math.min(Math.max(request.timeoutMs, 0), POLL_MS);
  const query = { after, visible, machine, before, session, project, types, notices, detail, waitMs };
  const read = await Promise.race([readFrom(env, request.user, query), ended(signal)]);
  if (read === null) throw new OperatorFailure({ code: "unauthorized" });
  if (!("refused" in read)) return polledOf(read, machine);
  throw new OperatorFailure(
    read.refused === "cursor_expired" ? { code: "cursor_expired" } : { code: read.refused, machine: read.machine },
  );
}

/**
 * The same for an event stream. A browser's EventSource stops permanently when it gets an error. If its cursor has expired, the stream
 * therefore begins again with the newest events, and `isExpired` says that others are missing.
 *
 * Throws as `poll` does.
 */
export async function pollOrStartAgain(env: Env, request: PollRequest): Promise<Polled> {
  try {
    return await poll(env, request);
  } catch (reason) {
    if (!(reason instanceof OperatorFailure && reason.error.code === "cursor_expired")) throw reason;
    return { ...(await pollAfter(env, { ...request, timeoutMs: 0 }, null)), isExpired: true };
  }
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
  const about = machine === null ? null : { name: machine, identity: computer ?? "" };
  return {
    result: { events: events.map(eventOf), cursor: encodeCursor(position, about), more, gaps: [...gaps] },
    cursors: events.map(({ seq }) => encodeCursor({ epoch: position.epoch, seq }, about)),
    identities: events.map(({ identity }) => identity),
    isExpired: false,
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
