import { Hono } from "hono";
import { streamSSE } from "hono/streaming";
import { OperatorFailure, errorResponse } from "#protocol/error.ts";
import { POLL_MS } from "#protocol/limits.ts";
import type { AppContext } from "../http/app-context.ts";
import { reading } from "../http/needs.ts";
import { Lease } from "../sign-in/lease.ts";
import { decodeCursor, encodeCursor } from "../events/cursor.ts";
import { poll, type Polled, type PollRequest } from "../events/poll.ts";
import { eventDetailOf, selectionOf } from "../events/selection.ts";

/** How often a comment is sent, to keep proxies from closing a quiet stream. */
const KEEPALIVE_MS = Math.min(POLL_MS, 20_000);

/**
 * Pause before polling again while a machine fails, so that its error is not repeated more often than this. The stream
 * continues.
 */
const ERROR_PAUSE_MS = 5_000;

/**
 * `GET /api/events`: the logs of all machines in one event stream. `?machine=`, `?session=` filter; `?detail=deltas`
 * adds the pieces of messages that are still being written; `Last-Event-ID`
 * (or `?cursor=`) resumes without loss or repetition. Each message's id is the cursor after it.
 */
export const events = new Hono<AppContext>();

events.get("/", reading, async (c) => {
  const { caller } = c.var;
  const lease = new Lease(c.req.raw, c.env, new URL(c.req.url), caller);
  let request: PollRequest;
  let first: Polled;
  try {
    request = {
      user: caller.user,
      cursor: c.req.header("last-event-id") ?? c.req.query("cursor") ?? null,
      ...(await selectionOf(c.env, caller, c.req.query("machine"), c.req.query("session"))),
      detail: eventDetailOf(c.req.query("detail")),
      timeoutMs: 0,
      signal: lease.signal,
    };
    first = await poll(c.env, request);
  } catch (reason) {
    if (reason instanceof OperatorFailure) return errorResponse(reason.error);
    throw reason;
  }
  return streamSSE(c, async (stream) => {
    let { result, began: vector } = first;
    while (!stream.aborted && !stream.closed && !lease.signal.aborted) {
      const after = decodeCursor(result.cursor) ?? {};
      for (const event of result.events) {
        // Each event's id is the cursor after that event. A client that loses the stream in the middle of a page resumes there
        // exactly.
        vector[event.machine] = { epoch: after[event.machine]?.epoch ?? "", seq: event.seq };
        await stream.writeSSE({ event: "event", id: encodeCursor(vector), data: JSON.stringify(event) });
      }
      for (const name of result.gaps) await stream.writeSSE({ event: "gap", data: JSON.stringify({ machine: name }) });
      for (const error of result.errors) await stream.writeSSE({ event: "machine-error", data: JSON.stringify(error) });
      vector = after;
      await stream.writeSSE({ event: "cursor", id: result.cursor, data: "" });
      if (result.errors.length > 0) await stream.sleep(ERROR_PAUSE_MS);
      const timeoutMs = result.more ? 0 : KEEPALIVE_MS;
      const next = await poll(c.env, { ...request, cursor: result.cursor, timeoutMs }).catch(endedBy(lease.signal));
      if (next === null) return;
      ({ result } = next);
    }
  });
});

/**
 * Turns the error that `poll` throws after its caller's token was revoked into the end of the stream. Any other error is a
 * failure.
 */
function endedBy(signal: AbortSignal): (reason: unknown) => null {
  return (reason) => {
    if (signal.aborted) return null;
    throw reason;
  };
}
