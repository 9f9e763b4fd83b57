import { Hono } from "hono";
import type { SSEStreamingApi } from "hono/streaming";
import { detailsOf, OperatorFailure } from "#protocol/error.ts";
import { POLL_MS } from "#protocol/limits.ts";
import { endedBy } from "../http/ended.ts";
import type { AppContext } from "../http/app-context.ts";
import { streamLeased } from "../http/leased-stream.ts";
import { reading } from "../http/needs.ts";
import { refuse } from "../http/refusal.ts";
import { Lease } from "../sign-in/lease.ts";
import { poll, pollOrStartAgain, type PollRequest } from "../events/poll.ts";
import { eventDetailOf, selectionOf } from "../events/selection.ts";

/** How often a comment is sent, to keep proxies from closing a quiet stream. */
const KEEPALIVE_MS = Math.min(POLL_MS, 20_000);

/**
 * `GET /api/events`: the events of all machines in one stream. `?machine=`, `?session=`, `?project=` and `?type=` filter;
 * `?detail=deltas` adds the pieces of messages that are still being written; `Last-Event-ID` (or `?cursor=`) resumes without loss or
 * repetition. Each message's id is the cursor after it.
 *
 * A browser's EventSource stops permanently when it gets an error. So the stream starts again for an expired `Last-Event-ID`, and
 * the stream says `gap` first, of no machine in particular. A stream that cannot go on says why, with `end`: another computer has the name of
 * the machine that it is about, for example.
 */
export const events = new Hono<AppContext>();

events.get("/", reading, async (c) => {
  const { caller } = c.var;
  const url = new URL(c.req.url);
  const lastId = c.req.header("last-event-id");
  const { machine, session, project, type, detail, cursor } = c.req.query();
  const wanted = {
    user: caller.user,
    cursor: lastId ?? cursor ?? null,
    ...selectionOf(caller, { machine, session, project, type }),
    detail: eventDetailOf(detail),
    timeoutMs: 0,
  };
  const lease = Lease.of(c.req.raw, c.env, url, caller);
  if ("refused" in lease) return refuse(lease, url, c.env);
  const request: PollRequest = { ...wanted, signal: lease.signal };
  const begin = lastId === undefined ? poll : pollOrStartAgain;
  const first = await lease.during(begin(c.env, request));
  if (first === null) return refuse({ refused: "bad_token" }, url, c.env);
  const follow = async (stream: SSEStreamingApi): Promise<void> => {
    let polled = first;
    if (polled.isExpired) await stream.writeSSE({ event: "gap", data: JSON.stringify({ machine: null }) });
    while (!stream.aborted && !stream.closed && !lease.signal.aborted) {
      const { result, cursors } = polled;
      // Each event's id is the cursor after that event. A client that loses the stream in the middle of a page resumes there
      // exactly.
      for (const [index, event] of result.events.entries())
        await stream.writeSSE({ event: "event", id: cursors[index] ?? result.cursor, data: JSON.stringify(event) });
      for (const name of result.gaps) await stream.writeSSE({ event: "gap", data: JSON.stringify({ machine: name }) });
      await stream.writeSSE({ event: "cursor", id: result.cursor, data: "" });
      const timeoutMs = result.more ? 0 : KEEPALIVE_MS;
      const asked = { ...request, cursor: result.cursor, timeoutMs };
      const next = await poll(c.env, asked).catch(asFailure).catch(endedBy(lease.signal));
      if (next === null || lease.signal.aborted) return;
      if (next instanceof OperatorFailure)
        return stream.writeSSE({ event: "end", data: JSON.stringify(detailsOf(next.error)) });
      polled = next;
    }
  };
  return streamLeased(c, lease, follow);
});

function asFailure(reason: unknown): OperatorFailure {
  if (reason instanceof OperatorFailure) return reason;
  throw reason;
}
