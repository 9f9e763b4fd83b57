import type { IncomingMessage } from "node:http";
import { isEventStream, mayCross, type HeaderList } from "#protocol/header.ts";
import { CHUNK_BYTES, WINDOW_BYTES } from "#protocol/limits.ts";
import { jsonRpcError } from "#protocol/error.ts";
import { requestIdsOf } from "#protocol/json-rpc-id.ts";
import { EventBoundary, KEEP_ALIVE_COMMENT } from "../system/event-boundary.ts";
import type { Answer, TargetRequest } from "./target.ts";

/**
 * An event stream that was silent for this long gets a comment. Cloudflare's edge cuts a response that says nothing for 100 s; the front of
 * a box of one's own inserts comments earlier than this one.
 */
const QUIET_STREAM_MS = 45_000;

/**
 * JSON of unknown length is held back for this long. Clients cannot use a part of it, and most servers that do not announce its length write
 * it at once. A server that takes longer may be sending spaces to keep the connection open, so what it sent passes.
 */
const HOLD_MS = 1_000;

/** One answer of the target, from its head to its end. */
export class HttpCall {
  readonly #request: TargetRequest;
  readonly #answer: Answer;
  readonly #machine: string;
  readonly #failed: (failure: Error) => void;
  #answered = false;
  #isEventStream = false;
  #over = false;

  /** @param failed called when the target gives no answer. */
  constructor(request: TargetRequest, answer: Answer, machine: string, failed: (failure: Error) => void) {
    this.#request = request;
    this.#answer = answer;
    this.#machine = machine;
    this.#failed = failed;
  }

  receive(response: IncomingMessage): void {
    const status = response.statusCode ?? 0;
    if (status < 200 || status > 599) {
      response.destroy();
      this.fail(new Error(`it answered with the status ${status}`));
      return;
    }
    const length = response.headers["content-length"];
    response.on("error", (failure) => this.fail(failure));
    if (length !== undefined && Number(length) <= CHUNK_BYTES) this.#hold(response, status, false);
    else if (length === undefined && isJson(response)) this.#hold(response, status, true);
    else this.#pass(response, status);
  }

  fail(failure: Error): void {
    if (this.#over) return;
    this.#over = true;
    if (this.#answered) this.#breakOff(`the machine's server broke off its answer: ${failure.message}`);
    else this.#failed(failure);
  }

  /**
   * Ends an answer whose head the caller already has. An event stream must still get an error for each request that waits on it,
   * because clients consider a stream that just ends complete, or wait until their timeout.
   */
  #breakOff(reason: string): void {
    const { method, body } = this.#request;
    const ids = method === "POST" && this.#isEventStream && body instanceof Uint8Array ? requestIdsOf(body) : [];
    if (ids.length === 0) return this.#answer.fail(reason);
    for (const id of ids) {
      const error = jsonRpcError({ code: "machine_failed", machine: this.#machine, reason, mayHaveRun: true }, id);
      // The leading blank line ends an event that was cut off in the middle.
      this.#answer.write(Buffer.from(`\n\nevent: message\ndata: ${JSON.stringify(error)}\n\n`));
    }
    this.#answer.end();
  }

  /**
   * Holds a body back until it is complete, so that a server which dies in the middle of it can still be replaced by a complete error.
   * Nothing else shows a reader that a body of unknown length was cut: workerd ends it in the same way whether it is complete or broke off.
   * @param isBounded whether the body may be too large or too slow for that, and then passes as it comes. Of such JSON a reader notices
   * that it is none.
   */
  #hold(response: IncomingMessage, status: number, isBounded: boolean): void {
    const chunks: Buffer[] = [];
    let bytes = 0;
    const take = (chunk: Buffer): void => {
      chunks.push(chunk);
      bytes += chunk.length;
      if (isBounded && bytes > WINDOW_BYTES) release();
    };
    const ended = (): void => {
      if (this.#over) return;
      this.#over = true;
      const isShort = bytes <= CHUNK_BYTES;
      this.#answer.head(status, headersOf(response), isShort, isShort ? undefined : bytes);
      for (const chunk of chunks) this.#answer.write(chunk);
      this.#answer.end();
    };
    const release = (): void => {
      response.off("data", take).off("end", ended);
      clearTimeout(timer);
      if (this.#over) return;
      this.#pass(response, status);
      for (const chunk of chunks) if (!this.#answer.write(chunk)) response.pause();
    };
    const timer = isBounded ? setTimeout(release, HOLD_MS) : undefined;
    timer?.unref();
    response.on("data", take).on("end", ended);
    response.on("close", () => clearTimeout(timer));
  }

  #pass(response: IncomingMessage, status: number): void {
    this.#answered = true;
    this.#isEventStream = isEventStream(response.headers["content-type"]);
    const length = response.headers["content-length"];
    // An answer to HEAD has the length of a body that does not follow.
    // A length that no number holds exactly is left out: Operator accepts none, and would end the link with all of its calls.
    const isKnown = length !== undefined && this.#request.method !== "HEAD" && Number.isSafeInteger(Number(length));
    const known = isKnown ? Number(length) : undefined;
    this.#answer.head(status, headersOf(response), false, known);
    this.#answer.drained = () => response.resume();
    const quiet = this.#isEventStream && known === undefined ? new QuietStream(response, this.#answer) : null;
    response.on("data", (chunk: Buffer) => {
      quiet?.heard(chunk);
      if (!this.#answer.write(chunk)) response.pause();
    });
    response.on("end", () => {
      this.#over = true;
      this.#answer.end();
    });
  }
}

/** Inserts comments between the events of a stream that is silent, as long as its reader reads. */
class QuietStream {
  readonly #boundary = new EventBoundary();
  readonly #timer: NodeJS.Timeout;

  constructor(response: IncomingMessage, answer: Answer) {
    this.#timer = setInterval(() => {
      if (this.#boundary.isBetweenEvents && !response.isPaused()) answer.write(KEEP_ALIVE_COMMENT);
    }, QUIET_STREAM_MS);
    this.#timer.unref();
    response.on("close", () => clearInterval(this.#timer));
  }

  heard(chunk: Buffer): void {
    this.#timer.refresh();
    this.#boundary.passed(chunk);
  }
}

function isJson({ headers }: IncomingMessage): boolean {
  return headers["content-type"]?.toLowerCase().startsWith("application/json") ?? false;
}

/** The answer's headers, unchanged, without those that must not cross the link. */
function headersOf({ rawHeaders, headers }: IncomingMessage): HeaderList {
  const hopByHop = headers.connection?.toLowerCase().split(",") ?? [];
  const list: HeaderList = [];
  for (let index = 0; index + 1 < rawHeaders.length; index += 2) {
    const name = rawHeaders[index]?.toLowerCase() ?? "";
    if (mayCross(name) && !hopByHop.some((other) => other.trim() === name))
      list.push([name, rawHeaders[index + 1] ?? ""]);
  }
  return list;
}
