import { BodyReader } from "#protocol/body-reader.ts";
import { EndMark } from "#protocol/end-mark.ts";
import type { OperatorError } from "#protocol/error.ts";
import { isEventStream, OperatorHeader } from "#protocol/header.ts";
import { closingWord } from "#protocol/stand-in.ts";

/**
 * Makes an event stream end with an error event if it breaks off. Other responses are returned unchanged, since the runtime
 * forwards a body that no code reads faster.
 */
export function withClosingWord(
  answer: Response,
  method: string,
  body: Uint8Array | null,
  error: OperatorError,
): Response {
  // The body comes second: asking for it makes workerd build a stream for it.
  if (!isEventStream(answer.headers.get("content-type")) || answer.body === null) return answer;
  const word = closingWord(error, method, body);
  const mark = answer.headers.has(OperatorHeader.MARK_END) ? new EndMark() : null;
  if (word === null && mark === null) return answer;
  const reader = new BodyReader(answer.body);
  const stream = new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        try {
          for (let piece = await reader.read(); piece !== null; piece = await reader.read()) {
            const bytes = mark?.strip(piece) ?? piece;
            if (bytes.length > 0) return controller.enqueue(bytes.slice()); // a piece is valid until the next is read
          }
          // A script without the mark is of an older version: its end has to be believed.
          if (word !== null && mark?.isThere === false) controller.enqueue(word);
        } catch {
          // The script or the connection to it has failed. The error event tells the client.
          if (word !== null) controller.enqueue(word);
        }
        controller.close();
      },
      cancel: (reason) => reader.cancel(reason),
    },
    { highWaterMark: 0 },
  );
  return new Response(stream, answer);
}
