import { BodyReader } from "#protocol/body-reader.ts";
import { Credit, InboundBody, sendBytes } from "#protocol/body.ts";
import type { OperatorError } from "#protocol/error.ts";
import { OperatorFailure } from "#protocol/error.ts";
import type { Frame, ResponseHead } from "#protocol/frame.ts";
import { encodeFrame, FrameKind } from "#protocol/frame.ts";
import { END_MARK, withEndMark } from "#protocol/end-mark.ts";
import { crossing, isEventStream, mayCross, OperatorHeader } from "#protocol/header.ts";
import { CHUNK_BYTES, RESPONSE_TIMEOUT_MS } from "#protocol/limits.ts";
import { discard } from "#protocol/unread-body.ts";

/** Statuses whose responses have no body (Fetch standard, "null body status"). */
const NULL_BODY: ReadonlySet<number> = new Set([204, 205, 304]);

/** What an exchange needs of its link. */
export type ExchangeLink = {
  send(frame: Uint8Array): void;
  /** Called when the exchange is over, for whatever reason. */
  done(exchange: number): void;
};

/** The final bytes for the reader of an event stream that is cut off; `null`: the stream errors instead. */
export type ClosingWord = (error: OperatorError) => Uint8Array | null;

/** One HTTP request and its answer over the link, on the script's side. Settles exactly once. */
export class Exchange {
  readonly id: number;
  readonly response: Promise<Response>;
  /** When the answer's head is overdue, in milliseconds since 1970. */
  readonly deadlineMs: number;
  readonly #link: ExchangeLink;
  readonly #credit = new Credit();
  readonly #closingWord: ClosingWord;
  #settle: { resolve: (response: Response) => void; reject: (reason: Error) => void };
  #answered = false;
  #inbound: InboundBody | null = null;
  #isEventStream = false;
  #isGet = false;
  /** Whether the gate wants the end of an event stream marked. */
  #marksEnd = false;
  #heardMs = Date.now();
  #over = false;

  constructor(id: number, link: ExchangeLink, deadlineMs: number, closingWord: ClosingWord) {
    this.id = id;
    this.deadlineMs = deadlineMs;
    this.#link = link;
    this.#closingWord = closingWord;
    const { promise, resolve, reject } = Promise.withResolvers<Response>();
    this.response = promise;
    this.#settle = { resolve, reject };
  }

  /**
   * For how long nothing has come on a client's listening stream (a GET that was answered with events); `null` for any other
   * exchange. Such a stream carries no call, and its client opens it again when it ends: it is the one kind that can be
   * ended to make room. When its client died without a word, nobody else ever ends it.
   */
  get idleMs(): number | null {
    return this.#isGet && this.#isEventStream && !this.#over ? Date.now() - this.#heardMs : null;
  }

  /**
   * Whether the machine owes the answer's head, or the next part of a body whose reader waits for it, for too long. An event stream may be
   * silent for as long as its client listens.
   */
  isOverdue(nowMs: number): boolean {
    if (this.#over) return false;
    if (!this.#answered) return this.deadlineMs <= nowMs;
    if (this.#isEventStream) return false;
    // Not the machine's fault: its credit comes back only with what is read.
    if (this.#inbound?.isAwaited !== true) this.#heardMs = nowMs;
    return nowMs - this.#heardMs >= RESPONSE_TIMEOUT_MS;
  }

  /** Sends the request: in one frame if its body is small and already read, else the head first and the body as credit allows. */
  async open(request: Request, path: string, body: Uint8Array | null): Promise<void> {
    this.#isGet = request.method === "GET";
    this.#marksEnd = request.headers.has(OperatorHeader.MARK_END);
    const head = { method: request.method, path, headers: crossing(request.headers) };
    const first = body?.subarray(0, CHUNK_BYTES) ?? new Uint8Array(0);
    const end = body === null ? request.body === null : body.length === first.length;
    if (body !== null) await this.#credit.take(first.length || 1); // the window is still full, so this never waits
    this.#link.send(encodeFrame({ kind: FrameKind.REQUEST, exchange: this.id, end, head, body: first }));
    if (end) return;
    if (body === null) await this.#stream(request.body);
    else await sendBytes(body.subarray(first.length), this.#credit, (chunk) => this.#sendBody(chunk, false));
    this.#sendBody(new Uint8Array(0), true);
  }

  /** Handles a frame of this exchange. Returns `false` when it violates the protocol. */
  receive(frame: Exclude<Frame, { kind: typeof FrameKind.REQUEST | typeof FrameKind.CANCEL }>): boolean {
    switch (frame.kind) {
      case FrameKind.RESPONSE:
        try {
          return this.#receiveHead(frame.head, frame.body, frame.end);
        } catch (reason) {
          this.cancel(new Error("its answer has invalid HTTP headers", { cause: reason }));
          return true;
        }
      case FrameKind.BODY:
        return this.#receiveBody(frame.body, frame.end);
      case FrameKind.WINDOW:
        return this.#credit.grant(frame.credit);
    }
  }

  /** Ends the exchange from this side: the connector is told to stop, and the caller, if it still waits, gets `reason`. */
  cancel(reason: Error): void {
    if (this.#over) return;
    this.#link.send(encodeFrame({ kind: FrameKind.CANCEL, exchange: this.id, reason: reason.message }));
    this.#finish();
    this.#fail(reason);
  }

  /**
   * Ends an exchange that the link or the connector cannot finish. An open event stream ends with an error event, so that its
   * reader learns why.
   */
  abandon(error: OperatorError): void {
    if (this.#over) return;
    this.#finish();
    const word = this.#inbound !== null && this.#isEventStream ? this.#closingWord(error) : null;
    if (word === null) this.#fail(new OperatorFailure(error));
    else this.#inbound?.endWith(this.#marksEnd ? withEndMark(word) : word);
  }

  #receiveHead(head: ResponseHead, body: Uint8Array, end: boolean): boolean {
    if (this.#answered) return false;
    this.#answered = true;
    this.#heardMs = Date.now();
    // Filtered here as well as in the connector, because the machine may run a connector that does not filter.
    const headers = head.headers.filter(([name]) => mayCross(name));
    const init = { status: head.status, headers };
    const isNull = NULL_BODY.has(head.status);
    if (end || isNull) {
      this.#settle.resolve(new Response(isNull ? null : body, init));
      this.#finish();
      return true;
    }
    const inbound = new InboundBody(
      (credit) => this.#link.send(encodeFrame({ kind: FrameKind.WINDOW, exchange: this.id, credit })),
      () => this.cancel(new Error("the caller went away")),
    );
    const type = headers.find(([name]) => name.toLowerCase() === "content-type")?.[1];
    this.#isEventStream = isEventStream(type);
    if (this.#isEventStream && this.#marksEnd) headers.push([OperatorHeader.MARK_END, "1"]);
    // An event stream may end with a word of our own, for which its length leaves no room.
    const length = this.#isEventStream ? undefined : head.length;
    // The runtime announces the length of a FixedLengthStream on the wire only. The header also shows it to code that the response passes
    // through before, which may have to wrap the body.
    if (length !== undefined) headers.push(["content-length", String(length)]);
    const response = new Response(sized(inbound.stream, length), init);
    this.#inbound = inbound;
    this.#settle.resolve(response);
    return inbound.push(body);
  }

  #receiveBody(body: Uint8Array, end: boolean): boolean {
    this.#heardMs = Date.now();
    if (this.#inbound === null || !this.#inbound.push(body)) return false;
    if (!end) return true;
    if (this.#isEventStream && this.#marksEnd) this.#inbound.endWith(END_MARK);
    else this.#inbound.end();
    this.#finish();
    return true;
  }

  async #stream(body: ReadableStream<Uint8Array> | null): Promise<void> {
    if (body === null) return;
    const reader = new BodyReader(body);
    try {
      for (let piece = await reader.read(); piece !== null; piece = await reader.read())
        await sendBytes(piece, this.#credit, (part) => this.#sendBody(part, false));
    } catch (reason) {
      // The exchange was answered or cancelled before the whole request was read, which HTTP allows.
      if (this.#over) return discard(reader);
      throw reason;
    }
  }

  #sendBody(body: Uint8Array, end: boolean): void {
    if (this.#over) return;
    this.#link.send(encodeFrame({ kind: FrameKind.BODY, exchange: this.id, end, body }));
  }

  #fail(reason: Error): void {
    this.#settle.reject(reason);
    this.#inbound?.fail(reason);
  }

  #finish(): void {
    if (this.#over) return;
    this.#over = true;
    this.#credit.fail(new Error("the exchange is over"));
    this.#link.done(this.id);
  }
}

/**
 * The same body with its length announced, so that a caller who gets less knows that it was cut. Without a length nothing can tell
 * it: workerd then ends the body's last hop in the same way whether its source was complete or failed.
 */
function sized(body: ReadableStream<Uint8Array>, length: number | undefined): ReadableStream<Uint8Array> {
  if (length === undefined) return body;
  const { readable, writable } = new FixedLengthStream(length);
  void body.pipeTo(writable).catch(() => undefined); // the reader has gone, or learns of the failure from what is missing
  return readable;
}
