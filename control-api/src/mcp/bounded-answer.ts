import { EventSourceParserStream } from "eventsource-parser/stream";
import { OperatorFailure } from "#protocol/error.ts";
import { eventText } from "#protocol/event-text.ts";
import { textWithin } from "../http/text-within.ts";

/**
 * The largest answer of a machine that `/mcp` passes on, as JSON or as one event of a stream. `/mcp` holds an answer as text,
 * as parsed JSON, as JSON text again and as bytes. That is five to six times its size, in an isolate that has 128 MB for all
 * of its callers. Models read far less, but files and images of a few megabytes are common. A machine's own URL streams
 * answers and therefore has no such limit.
 */
export const MAX_ANSWER_BYTES = 8 * 1024 * 1024;

/**
 * Reads a response's text. Throws `OperatorFailure` answer_too_large as soon as it exceeds the limit. The rest is then not
 * read, which cancels the exchange and tells the machine to stop. A body that breaks off throws the stream's own error.
 */
export async function answerText(response: Response, machine: string, limitBytes = MAX_ANSWER_BYTES): Promise<string> {
  const text = await textWithin(response, limitBytes);
  if (text === null) throw tooLarge(machine, limitBytes);
  return text;
}

/** The data of a response's events. The limit applies to each event by itself, because a stream of many events may be long. */
export async function* eventsWithin(
  response: Response,
  machine: string,
  limitBytes = MAX_ANSWER_BYTES,
): AsyncGenerator<string> {
  if (response.body === null) return;
  let sinceEvent = 0;
  const bounded = new TransformStream<Uint8Array, Uint8Array>({
    transform(chunk, controller) {
      sinceEvent += chunk.length;
      if (sinceEvent > limitBytes) throw tooLarge(machine, limitBytes);
      controller.enqueue(chunk);
    },
  });
  const events = response.body.pipeThrough(bounded).pipeThrough(eventText()).pipeThrough(new EventSourceParserStream());
  for await (const { data } of events) {
    sinceEvent = 0;
    yield data;
  }
}

function tooLarge(machine: string, limitBytes: number): OperatorFailure {
  return new OperatorFailure({ code: "answer_too_large", machine, limitBytes });
}
