import { EventSourceParserStream } from "eventsource-parser/stream";
import { BodyReader, inspected } from "#protocol/body-reader.ts";
import { OperatorFailure } from "#protocol/error.ts";
import { eventText } from "#protocol/event-text.ts";
import { GrowingBytes } from "../http/growing-bytes.ts";
import { type Held, type HeldAnswers, SMALL_BYTES } from "../http/large-answers.ts";

/**
 * The largest answer of a machine that `/mcp` passes on, as JSON or as one event of a stream. `/mcp` holds an answer as text,
 * as parsed JSON, as JSON text again and as bytes. That is five to six times its size, in an isolate that has 128 MB for all
 * of its callers. Models read far less, but files and images of a few megabytes are common. A machine's own URL streams
 * answers and therefore has no such limit.
 */
export const MAX_ANSWER_BYTES = 8 * 1024 * 1024;

/** Whose answer is read, and where it is counted while it is held. */
export type Reading = { readonly machine: string; readonly held: HeldAnswers; readonly limitBytes?: number };

/**
 * Reads a response's text. Throws `OperatorFailure` answer_too_large as soon as it exceeds the limit. The rest is then not
 * read, which cancels the exchange and tells the machine to stop. A body that breaks off throws the stream's own error.
 *
 * A large answer is read on when there is room for it, and throws machine_failed if there is none in time.
 */
export async function answerText(
  { body, headers }: Response,
  { machine, held, limitBytes = MAX_ANSWER_BYTES }: Reading,
): Promise<string> {
  if (body === null) return "";
  const announced = Number(headers.get("content-length") ?? Number.NaN);
  let room: number | null = null;
  let counted: Held | null = null;
  const read = new GrowingBytes();
  const reader = new BodyReader(body);
  try {
    for (;;) {
      const piece = await reader.read();
      if (piece === null) {
        if (counted !== null) held.shrink(counted, read.length);
        return new TextDecoder().decode(read.bytes);
      }
      const length = read.length + piece.byteLength;
      if (room === null && length > SMALL_BYTES && length <= limitBytes) {
        room = announced >= length && announced <= limitBytes ? announced : limitBytes;
        counted = await held.add(machine, room);
        if (counted === null) throw noRoom(machine);
        if (room === announced) read.reserve(room);
      }
      // It is not held to the length that it announced.
      if (length > (room ?? limitBytes)) throw tooLarge(machine, limitBytes);
      read.add(piece, room ?? limitBytes);
    }
  } catch (reason) {
    void reader.cancel().catch(() => undefined); // it may have broken off
    throw reason;
  }
}

/**
 * The data of a response's events. The limit applies to each event by itself, because a stream of many events may be long. A large one is read on
 * when there is room for it, and counted until the next one is asked for.
 */
export async function* eventsWithin(
  response: Response,
  { machine, held, limitBytes = MAX_ANSWER_BYTES }: Reading,
): AsyncGenerator<string> {
  if (response.body === null) return;
  let sinceEvent = 0;
  let counted: Held | null = null;
  const bounded = inspected(response.body, async (piece) => {
    sinceEvent += piece.length;
    if (sinceEvent > limitBytes) throw tooLarge(machine, limitBytes);
    if (sinceEvent > SMALL_BYTES && counted === null) {
      counted = await held.add(machine, limitBytes);
      if (counted === null) throw noRoom(machine);
    }
  });
  const events = bounded.pipeThrough(eventText()).pipeThrough(new EventSourceParserStream());
  for await (const { data } of events) {
    if (counted !== null) held.shrink(counted, sinceEvent);
    sinceEvent = 0;
    yield data;
    if (counted !== null) held.drop(counted);
    counted = null;
  }
}

function noRoom(machine: string): OperatorFailure {
  const reason =
    "too many large answers are being read at once, so its answer was not read; the machine's own URL has no such limit";
  return new OperatorFailure({ code: "machine_failed", machine, reason, mayHaveRun: true });
}

function tooLarge(machine: string, limitBytes: number): OperatorFailure {
  return new OperatorFailure({ code: "answer_too_large", machine, limitBytes });
}
