import { streamSSE } from "hono/streaming";
import { errorResponse, OperatorFailure } from "#protocol/error.ts";
import type { EventDetail } from "#protocol/event.ts";
import { firstPoll, type MachineEvent, poll, type PollRequest } from "../events/poll.ts";
import { Lease } from "../sign-in/lease.ts";
import type { PageContext } from "../sign-in/page-context.ts";
import { sessionOf } from "../sign-in/session.ts";

/** How often something is sent on a quiet stream. Proxies close one that is silent for 30 s and more. Milliseconds. */
const KEEPALIVE_MS = 20_000;

/** Pause after the user's object did not answer. Milliseconds. */
const RETRY_MS = 1_000;

/** What a page hears of an event. */
export type Heard = { readonly event: string; readonly data: string };

type Followed = { readonly machine: string | null; readonly session: string | null; readonly detail: EventDetail };

/**
 * A stream of server-sent events for an open page, from the merged log. It goes on after `Last-Event-ID`, or after the cursor in
 * `?after=`, which the page was rendered with. A cursor that has expired is answered with `gap`, and the page loads itself anew: a
 * browser that gets an error gives up.
 *
 * The stream ends when the browser is signed out.
 *
 * @param hear what the page hears of an event; `isLast`: no other event follows in the same moment
 */
export async function streamEvents(
  c: PageContext,
  { machine, session, detail }: Followed,
  hear: (event: MachineEvent, isLast: boolean) => readonly Heard[],
): Promise<Response> {
  const { person } = c.var.session;
  const lease = new Lease(c.env, person.id, async () => (await sessionOf(c))?.person.id === person.id);
  const request: PollRequest = {
    user: person.id,
    cursor: c.req.header("last-event-id") ?? c.req.query("after") ?? null,
    visible: null,
    machine,
    session,
    project: null,
    types: null,
    notices: false,
    detail,
    timeoutMs: 0,
    signal: lease.signal,
  };
  let first: Awaited<ReturnType<typeof firstPoll>>;
  try {
    first = await firstPoll(c.env, request, true);
  } catch (reason) {
    if (reason instanceof OperatorFailure) return errorResponse(reason.error);
    throw reason;
  }
  const response = streamSSE(c, async (stream) => {
    if (first.isExpired) await stream.writeSSE({ event: "gap", data: "" });
    let { polled } = first;
    while (!stream.aborted && !stream.closed && !lease.signal.aborted) {
      const { result, cursors } = polled;
      for (const [index, event] of result.events.entries()) {
        const id = cursors[index] ?? result.cursor;
        for (const heard of hear(event, index === result.events.length - 1)) await stream.writeSSE({ ...heard, id });
      }
      if (result.gaps.length > 0) await stream.writeSSE({ event: "gap", data: "" });
      await stream.writeSSE({ event: "cursor", id: result.cursor, data: "" });
      const asked = { ...request, cursor: result.cursor, timeoutMs: result.more ? 0 : KEEPALIVE_MS };
      const next = await poll(c.env, asked).catch((reason: unknown) => (lease.signal.aborted ? null : pause(reason)));
      polled = next ?? { result: { ...result, events: [], gaps: [] }, cursors: [] }; // as if nothing had come
    }
  });
  response.headers.set("x-content-type-options", "nosniff");
  return response;
}

/** The user's object did not answer, for example because it is restarted. The stream goes on where it was. */
async function pause(reason: unknown): Promise<null> {
  console.warn("a page's events could not be read, trying again", { reason: String(reason) });
  await scheduler.wait(RETRY_MS);
  return null;
}
