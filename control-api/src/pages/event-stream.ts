import type { SSEStreamingApi } from "hono/streaming";
import { detailsOf, errorResponse, OperatorFailure } from "#protocol/error.ts";
import type { EventDetail } from "#protocol/event.ts";
import { type MachineEvent, type Polled, pollOrStartAgain, type PollRequest } from "../events/poll.ts";
import { streamLeased } from "../http/leased-stream.ts";
import { refuse } from "../http/refusal.ts";
import { Lease } from "../sign-in/lease.ts";
import type { PageContext } from "../sign-in/page-context.ts";
import { sessionOf } from "../sign-in/session.ts";

/** How often something is sent on a quiet stream. Proxies close one that is silent for 30 s and more. Milliseconds. */
const KEEPALIVE_MS = 20_000;

/** Failures in a row after which the stream ends: a restart takes seconds, and after half a minute something is broken. */
const MAX_FAILURES = 30;

/** Pause after the user's object did not answer. Milliseconds. */
const RETRY_MS = 1_000;

/** What a page hears of an event. */
export type Heard = { readonly event: string; readonly data: string };

type Followed = { readonly machine: string | null; readonly session: string | null; readonly detail: EventDetail };

/**
 * A stream of server-sent events for an open page, from the merged log. It goes on after `Last-Event-ID`, or after the cursor in
 * `?after=`, which the page was rendered with. A cursor that has expired is answered with `gap`, and the page loads itself anew: a
 * browser that gets an error gives up. A stream that cannot go on ends with the event `end`, whose data is a sentence for the page: the
 * machine is not there any more, another one has its name, or the browser is signed out.
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
  const { person, id: browser } = c.var.session;
  const whose = { user: person.id, client: `browser:${browser}` };
  const lease = Lease.open(c.req.raw, c.env, whose, async () => (await sessionOf(c))?.person.id === person.id);
  if ("refused" in lease) return refuse(lease, new URL(c.req.url), c.env);
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
  let first: Polled;
  try {
    first = await pollOrStartAgain(c.env, request);
  } catch (reason) {
    lease.end();
    if (!(reason instanceof OperatorFailure)) throw reason;
    // A page that was cut off, or hidden for a while. It would take an error for a restart of Operator, and ask again and again.
    const { code, message } = detailsOf(reason.error);
    const end = (stream: SSEStreamingApi): Promise<void> => stream.writeSSE({ event: "end", data: message });
    return code === "machine_replaced" ? streamLeased(c, lease, end) : errorResponse(reason.error);
  }
  const follow = async (stream: SSEStreamingApi): Promise<void> => {
    let polled = first;
    let failures = 0;
    while (!stream.aborted && !stream.closed && !lease.signal.aborted) {
      const { result, cursors, isExpired } = polled;
      if (isExpired) await stream.writeSSE({ event: "gap", data: "" });
      for (const [index, event] of result.events.entries()) {
        const id = cursors[index] ?? result.cursor;
        for (const heard of hear(event, index === result.events.length - 1)) await stream.writeSSE({ ...heard, id });
      }
      if (result.gaps.length > 0) await stream.writeSSE({ event: "gap", data: "" });
      await stream.writeSSE({ event: "cursor", id: result.cursor, data: "" });
      const asked = { ...request, cursor: result.cursor, timeoutMs: result.more ? 0 : KEEPALIVE_MS };
      const next = await pollOrStartAgain(c.env, asked).catch((reason: unknown) =>
        whyNot(reason, failures, lease.signal),
      );
      if (typeof next === "string") return stream.writeSSE({ event: "end", data: next });
      failures = next === null ? failures + 1 : 0;
      const nothing = { events: [], gaps: [], cursor: result.cursor, more: false };
      polled = next ?? { result: nothing, cursors: [], identities: [], isExpired: false }; // as if nothing had come
    }
    if (lease.signal.aborted) await stream.writeSSE({ event: "end", data: "You are signed out on this device." });
  };
  const response = streamLeased(c, lease, follow);
  response.headers.set("x-content-type-options", "nosniff");
  return response;
}

/**
 * What to do when events could not be read. `null`: try again. A text is a sentence for the page: the stream ends, because asking again would
 * bring the same answer.
 */
async function whyNot(reason: unknown, failures: number, lease: AbortSignal): Promise<string | null> {
  if (lease.aborted) return null;
  if (reason instanceof OperatorFailure) {
    const { message, retryable } = detailsOf(reason.error);
    if (!retryable) return message;
  }
  // The user's object did not answer, for example because it is restarted.
  console.warn("a page's events could not be read, trying again", { reason: String(reason) });
  if (failures >= MAX_FAILURES) return "Operator cannot read its log of events.";
  await scheduler.wait(RETRY_MS);
  return null;
}
