import { EventSourceParserStream } from "eventsource-parser/stream";
import { eventText } from "#protocol/event-text.ts";

/**
 * Operator sends something at least every 20 s. After three times as long the connection is dead, although nothing said so: a laptop
 * slept, a network was changed. Milliseconds.
 */
const SILENCE_MS = 60_000;

/** The longest message that is read, in characters: an event has 64 KB. */
const MAX_MESSAGE_CHARACTERS = 1024 * 1024;

/** One message of `GET /api/events`. `id` is the cursor after it. */
export type StreamMessage = { readonly event: string; readonly id: string | undefined; readonly data: string };

/** The messages of a stream, until it ends or is silent for too long. */
export async function* messagesOf(body: ReadableStream<Uint8Array>): AsyncGenerator<StreamMessage> {
  const parser = new EventSourceParserStream({ maxBufferSize: MAX_MESSAGE_CHARACTERS });
  const reader = body.pipeThrough(eventText()).pipeThrough(parser).getReader();
  try {
    for (;;) {
      // An error is a connection that broke, which is the end of this stream and not of watching.
      const read = await within(SILENCE_MS, reader.read()).catch(() => null);
      if (read === null || read.done) return;
      const { event = "message", id, data } = read.value;
      yield { event, id, data };
    }
  } finally {
    await reader.cancel().catch(() => undefined); // it has ended already
  }
}

async function within<Value>(ms: number, promise: Promise<Value>): Promise<Value | null> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<null>((resolve) => {
    timer = setTimeout(resolve, ms, null);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
