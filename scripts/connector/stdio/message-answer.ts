import type { HeaderList } from "#protocol/header.ts";
import { KEEP_ALIVE_COMMENT } from "../../system/event-boundary.ts";
import type { Answer } from "../target.ts";

/** Bytes that may wait for one slow reader. */
const MAX_WAITING_BYTES = 64 * 1024 * 1024;

const EVENT_BEGIN = Buffer.from("event: message\ndata: ");
const EVENT_END = Buffer.from("\n\n");
const CARRIAGE_RETURN = /\r/g;

/**
 * JSON-RPC messages as the answer to one HTTP request: plain JSON if the response is the only message, an event stream as soon as
 * another message comes first. The bytes of a message are sent unchanged.
 */
export class MessageAnswer {
  readonly #answer: Answer;
  readonly #headers: HeaderList;
  #streaming = false;
  #over = false;
  #waitingBytes = 0;

  /** @param cancelled called once, when nobody waits for the answer any more. */
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

  /** Sends the head of an event stream immediately, before its first message. */
  open(): void {
    if (this.#streaming || this.#over) return;
    this.#streaming = true;
    this.#answer.head(200, [["content-type", "text/event-stream"], ["cache-control", "no-cache"], ...this.#headers]);
  }

  /** Sends a message that is not the last. */
  send(message: string): void {
    if (this.#over) return;
    this.open();
    // A carriage return would end the line in an event stream. In JSON it is only whitespace between tokens.
    const data = Buffer.from(message.replace(CARRIAGE_RETURN, " "), "latin1");
    const isRead = this.#answer.write(Buffer.concat([EVENT_BEGIN, data, EVENT_END]));
    this.#waitingBytes = isRead ? 0 : this.#waitingBytes + data.length;
    if (this.#waitingBytes > MAX_WAITING_BYTES) this.break(`its reader left over ${MAX_WAITING_BYTES} bytes unread`);
  }

  /**
   * Writes a comment to an open event stream. Proxies in between may notice that the reader has gone only when they have something
   * to write, and they close streams that are silent for long.
   */
  keepAlive(): void {
    if (this.#streaming && !this.#over && this.#waitingBytes === 0) this.#answer.write(KEEP_ALIVE_COMMENT);
  }

  /** Sends the last message and ends the answer. `status` is used if it is the only message. */
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

  /** Ends the answer without a last message. */
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
