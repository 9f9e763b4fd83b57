import type { HeaderList } from "#protocol/header.ts";
import type { Answer } from "../target.ts";

/** What may wait for one slow reader; a line is in memory already when it comes, so this bounds how many. */
const MAX_WAITING_BYTES = 64 * 1024 * 1024;

const EVENT_BEGIN = Buffer.from("event: message\ndata: ");
const EVENT_END = Buffer.from("\n\n");
/** A comment of the event stream (HTML standard, "server-sent events"): every reader skips it. */
const KEEP_ALIVE = Buffer.from(": keep-alive\n\n");
const CARRIAGE_RETURN = /\r/g;

/**
 * JSON-RPC messages as the answer to one HTTP request: plain JSON when the response is all there is, an event stream
 * as soon as something else comes first. A message's bytes go out as they are.
 */
export class MessageAnswer {
  readonly #answer: Answer;
  readonly #headers: HeaderList;
  #streaming = false;
  #over = false;
  #waitingBytes = 0;

  /** @param cancelled called once when nobody waits for the answer any more. */
  constructor(answer: Answer, headers: HeaderList, cancelled: (reason: string) => void) {
    this.#answer = answer;
    this.#headers = headers;
    answer.cancelled = (reason) => {
      this.#over = true;
      cancelled(reason);
    };
    answer.drained = () => {
      this.#waitingBytes = 0;
    };
  }

  get isOver(): boolean {
    return this.#over;
  }

  /** Sends the head of an event stream now, whenever its first message may come. */
  open(): void {
    if (this.#streaming || this.#over) return;
    this.#streaming = true;
    this.#answer.head(200, [["content-type", "text/event-stream"], ["cache-control", "no-cache"], ...this.#headers]);
  }

  /** A message that is not the last. */
  send(message: string): void {
    if (this.#over) return;
    this.open();
    // A carriage return would end the line in an event stream; in JSON it is a blank between parts.
    const data = Buffer.from(message.replace(CARRIAGE_RETURN, " "), "latin1");
    const isRead = this.#answer.write(Buffer.concat([EVENT_BEGIN, data, EVENT_END]));
    this.#waitingBytes = isRead ? 0 : this.#waitingBytes + data.length;
    if (this.#waitingBytes > MAX_WAITING_BYTES) this.break(`its reader left over ${MAX_WAITING_BYTES} bytes unread`);
  }

  /**
   * Writes something to an open event stream that has no meaning to its reader. A platform between may notice that a
   * reader has gone only when it has something to write, and cut a stream that is silent for long.
   */
  keepAlive(): void {
    if (this.#streaming && !this.#over && this.#waitingBytes === 0) this.#answer.write(KEEP_ALIVE);
  }

  /** The last message, and the end. `status` is used when it is the only one. */
  finish(message: string, status = 200): void {
    if (this.#over) return;
    if (this.#streaming) {
      this.send(message);
      this.end();
      return;
    }
    this.#over = true;
    const body = Buffer.from(message, "latin1");
    this.#answer.head(status, [["content-type", "application/json"], ...this.#headers], true);
    this.#answer.write(body);
    this.#answer.end();
  }

  /** The end, without a last message. */
  end(): void {
    if (this.#over) return;
    this.open();
    this.#over = true;
    this.#answer.end();
  }

  break(reason: string): void {
    if (this.#over) return;
    this.#over = true;
    this.#answer.fail(reason);
  }
}
