import { BodyReader } from "./body-reader.ts";

/** The most that is read of a body which nobody wants, in bytes. A call with a few photos in it is smaller. */
const UNREAD_BYTES = 16 * 1024 * 1024;

/** The longest that an answer waits for such a body. Milliseconds. */
const UNREAD_MS = 1_000;

/**
 * Reads the rest of a body that its request was answered without. To be awaited before the answer is returned.
 *
 * HTTP/1.1 uses a connection again, and an answer that comes before the end of its request's body makes that unsafe: workerd closes
 * the connection, and whatever the client has sent on it meanwhile is lost, perhaps after it was carried out (RFC 9112 section 9.6).
 * So one refused call would break the next one.
 */
export async function discardUnread(request: Request): Promise<void> {
  // Nearly always. Asked first, because asking for the body makes workerd build a stream for it.
  if (request.bodyUsed) return;
  const { body } = request;
  if (body !== null && !body.locked) await discard(new BodyReader(body));
}

/** The same for a body that was read in part. Ends early, without an error, when the sender has gone. */
export async function discard(reader: BodyReader): Promise<void> {
  const { promise: late, resolve } = Promise.withResolvers<"late">();
  const timer = setTimeout(() => resolve("late"), UNREAD_MS);
  try {
    for (let left = UNREAD_BYTES; left > 0;) {
      const next = await Promise.race([reader.read(), late]);
      if (next === "late" || next === null) return;
      left -= next.byteLength;
    }
  } catch {
    // The sender has gone.
  } finally {
    clearTimeout(timer);
  }
}
