import { ERROR_HEADER } from "#protocol/error.ts";
import { type HeaderList, isEventStream } from "#protocol/header.ts";
import { eventText } from "#protocol/event-text.ts";
import * as z from "zod/mini";
import { EventSize } from "../system/event-size.ts";
import type { Answer, Target } from "./target.ts";

/** What an MCP client does not report about its requests. */
export type FetchListener = {
  /** Why the target did not answer at all. */
  failed(reason: string): void;
  /** The answer to a POST is complete, or broke off. */
  postEnded(): void;
};

/** A `fetch` for the connector's own MCP client that sends all requests to a target, whatever their address. */
export function targetFetch(
  target: Target,
  listener: FetchListener,
): (url: string | URL, init?: RequestInit) => Promise<Response> {
  return async (url, init) => {
    const request = new Request(url, init);
    const body = new Uint8Array(await request.arrayBuffer());
    const headers: HeaderList = [...request.headers];
    const response = await new Promise<Response>((resolve, reject) => {
      const answer = new FetchAnswer(resolve, reject, () => {
        if (request.method === "POST") listener.postEnded();
      });
      const abort = (): void => answer.abort(request.signal.reason);
      if (request.signal.aborted) return abort();
      request.signal.addEventListener("abort", abort, { once: true });
      target.serve({ method: request.method, query: new URL(request.url).search, headers, body }, answer);
    });
    if (response.headers.has(ERROR_HEADER)) listener.failed(await reasonOf(response.clone()));
    return response;
  };
}

/** The reason in an error that was made by `answerError`. */
async function reasonOf(response: Response): Promise<string> {
  const { data } = Failure.safeParse(await response.json());
  return data?.error.data.reason ?? data?.error.message ?? `HTTP ${response.status}`;
}

const Failure = z.object({
  error: z.object({ message: z.string(), data: z.object({ reason: z.optional(z.string()) }) }),
});

/** The client holds an answer completely, and of an event stream an event. A list of a thousand tools has one megabyte. */
const MAX_ANSWER_BYTES = 16 * 1024 * 1024;

/** Statuses whose responses have no body (Fetch standard, "null body status"). */
const NULL_BODY: ReadonlySet<number> = new Set([204, 205, 304]);

/** An `Answer` that becomes a `Response`. */
class FetchAnswer implements Answer {
  drained: (() => void) | null = null;
  cancelled: ((reason: string) => void) | null = null;
  readonly #resolve: (response: Response) => void;
  readonly #reject: (reason: unknown) => void;
  readonly #ended: () => void;
  #controller: ReadableStreamDefaultController<Uint8Array> | null = null;
  #over = false;
  #bytes = 0;
  /** Of an event stream; `null` for another answer. */
  #event: EventSize | null = null;

  constructor(resolve: (response: Response) => void, reject: (reason: unknown) => void, ended: () => void) {
    this.#resolve = resolve;
    this.#reject = reject;
    this.#ended = ended;
  }

  get isOver(): boolean {
    return this.#over;
  }

  head(status: number, headers: HeaderList): void {
    if (headers.some(([name, value]) => name === "content-type" && isEventStream(value))) this.#event = new EventSize();
    const body = new ReadableStream<Uint8Array>({
      start: (controller) => {
        this.#controller = controller;
      },
      pull: () => this.drained?.(),
      cancel: (reason) => this.abort(reason),
    });
    const read = this.#event === null ? body : body.pipeThrough(eventText()).pipeThrough(new TextEncoderStream());
    this.#resolve(new Response(NULL_BODY.has(status) ? null : read, { status, headers }));
  }

  write(chunk: Uint8Array): boolean {
    if (this.#over || this.#controller === null) return true;
    this.#event?.passed(chunk);
    this.#bytes = this.#event?.bytes ?? this.#bytes + chunk.length;
    if (this.#bytes > MAX_ANSWER_BYTES) {
      this.abort(new Error(`its answer is larger than ${MAX_ANSWER_BYTES} bytes`));
      return true;
    }
    this.#controller.enqueue(new Uint8Array(chunk));
    return (this.#controller.desiredSize ?? 1) > 0;
  }

  end(): void {
    if (this.#over) return;
    this.#over = true;
    this.#controller?.close();
    this.#ended();
  }

  fail(reason: string): void {
    this.#break(new Error(reason));
  }

  abort(reason: unknown): void {
    if (this.#over) return;
    this.#break(reason);
    this.cancelled?.(String(reason));
  }

  #break(reason: unknown): void {
    if (this.#over) return;
    this.#over = true;
    this.#reject(reason); // has no effect after the head
    this.#controller?.error(reason);
    this.#ended();
  }
}
