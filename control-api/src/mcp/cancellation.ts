/**
 * A client before 2026-07-28 cancels a call with a notification of its own (`notifications/cancelled`), in another request than the
 * call. The id in it is the client's, and two clients may use the same, so `initialize` gives each client a session id, which it must
 * send with every request (MCP 2025-11-25, "Session Management"). Nothing is stored under that id. It only tells whose call is meant.
 */

type Id = string | number;

/** One client of one user. */
export type ClientSession = { readonly user: string; readonly session: string };

/** The header of MCP's session ids. */
export const SESSION_HEADER = "mcp-session-id";

/** A call ended because its client cancelled it. It gets no response (MCP 2025-11-25, "Cancellation"). */
export class CallCancelled extends Error {
  override readonly name = "CallCancelled";
}

/**
 * How to cancel each call that is being made in this isolate. A box of one's own has one isolate. On Cloudflare a notification may
 * arrive in another one, and then the call ends when its client closes the connection.
 */
const underWay = new Map<string, () => void>();

/** Runs a call until it ends or its client cancels it. @throws CallCancelled */
export async function cancellable<Result>(
  client: ClientSession | null,
  id: Id,
  run: (cancelled: AbortSignal) => Promise<Result>,
): Promise<Result> {
  const controller = new AbortController();
  if (client === null) return run(controller.signal);
  const key = keyOf(client, id);
  // The notification is another request, which may not touch this one's AbortController. It may resolve a promise, whose
  // continuation then runs in this request's context.
  const { promise: cancelled, resolve: end } = Promise.withResolvers<void>();
  void cancelled.then(() => controller.abort());
  underWay.set(key, end);
  try {
    const result = await run(controller.signal);
    controller.signal.throwIfAborted();
    return result;
  } catch (reason) {
    throw controller.signal.aborted ? new CallCancelled() : reason;
  } finally {
    if (underWay.get(key) === end) underWay.delete(key);
  }
}

/** Cancels a client's call, if it is still being made. */
export function cancel(client: ClientSession, id: Id): void {
  underWay.get(keyOf(client, id))?.();
}

/** An id that is a number is another one than the same digits as text. */
function keyOf({ user, session }: ClientSession, id: Id): string {
  return JSON.stringify([user, session, id]);
}
