import { isEventStream } from "#protocol/header.ts";
import { discardUnread } from "#protocol/unread-body.ts";
import { CALL_HEADER, CANCELLED, CLOSING, REFUSED, THREW } from "./call.ts";

interface Handler {
  fetch?(request: Request, env: unknown, ctx: unknown): Response | Promise<Response>;
}
type Entrypoint = new (ctx: unknown, env: unknown) => Handler;

/**
 * A script is at rest when its last call ended this long ago. That is longer than the binding takes it for fresh (FRESH_MS there),
 * by as long as a busy computer may take to carry an answer from here to there.
 */
const QUIET_MS = 2_200;

/**
 * Wraps a user script's default entrypoint, in the script's own isolate. On Cloudflare only the dispatch Worker reaches a
 * user script. Here any process on the computer can connect to its port, so the guard refuses requests without the
 * script's key. It also restores the URL that the caller requested, carries an exception back to the binding, and aborts
 * the script's `signal` when the binding reports that the caller has disconnected.
 * @param mayClose whether the platform will ask for a moment without a call (CLOSING). Then each body passes through this isolate, which
 * otherwise does not learn when one has been sent.
 */
export function guard(script: unknown, key: string, mayClose: boolean): Handler {
  /** Open calls by id, each with the function that reports that its caller has disconnected. */
  const open = new Map<string, () => void>();
  /** When a call last ended. */
  let endedMs = 0;
  let isClosing = false;

  return {
    async fetch(request: Request, env: unknown, ctx: unknown): Promise<Response> {
      const [shown, id = "", url] = request.headers.get(CALL_HEADER)?.split(" ", 3) ?? [];
      if (shown !== key || isClosing) return answer(REFUSED, 403, "not called through a dispatch namespace");
      if (id === CLOSING) {
        isClosing = open.size === 0 && Date.now() - endedMs > QUIET_MS;
        return answer(CANCELLED, isClosing ? 200 : 409, "");
      }
      if (url === undefined) {
        open.get(id)?.();
        return answer(CANCELLED, 200, "");
      }
      const call = new AbortController();
      // workerd does not let one request touch objects of another, so the cancelling request cannot abort this call's
      // AbortController directly. It may resolve a promise, whose continuation then runs in this call's own context.
      const { promise: gone, resolve } = Promise.withResolvers<void>();
      open.set(id, resolve);
      void gone.then(() => call.abort());
      request.signal?.addEventListener("abort", resolve as () => void);
      try {
        const meant = asMeant(request, url, call.signal);
        const given = await run(script, meant, env, ctx);
        await discardUnread(meant);
        if (!(given instanceof Response))
          throw new TypeError("Incorrect type for Promise: the Promise did not resolve to 'Response'.");
        const response = withoutVerdict(given);
        const ended = (): void => {
          open.delete(id);
          endedMs = Date.now();
        };
        if (!(mayClose || mayStaySilent(response)) || response.body === null) {
          ended();
          return response;
        }
        const { readable, writable } = sameLength(response);
        // It fails when one end has closed, or the call was cancelled.
        void response.body.pipeTo(writable, { signal: call.signal }).then(ended, ended);
        return new Response(readable, response);
      } catch (error) {
        open.delete(id);
        endedMs = Date.now();
        if (!call.signal.aborted) console.error(error);
        return answer(THREW, 500, error instanceof Error ? error.message : String(error));
      }
    },
  };
}

/** The caller's request, with the URL that the caller requested. */
function asMeant(request: Request, url: string, signal: AbortSignal): Request {
  const { method, headers, body, redirect } = request;
  const meant = new Request(url, { method, headers, body, redirect, signal });
  meant.headers.delete(CALL_HEADER);
  meant.headers.set("host", new URL(url).host);
  return meant;
}

/** The script's response without the guard's header. A script that set the header could make the binding repeat the call. */
function withoutVerdict(response: Response): Response {
  if (!response.headers.has(CALL_HEADER)) return response;
  const own = new Response(response.body, response); // copies its WebSocket too
  own.headers.delete(CALL_HEADER);
  return own;
}

/** Only an event stream may stay open without data. Other bodies are written continuously, and a write detects a closed connection. */
function mayStaySilent(response: Response): boolean {
  // The body comes second, because asking for it makes workerd build a stream for it, which most calls do not need.
  return isEventStream(response.headers.get("content-type")) && response.body !== null;
}

/** For a body with an announced length, one that is sent with the same. */
function sameLength({ headers }: Response): TransformStream<Uint8Array, Uint8Array> {
  const length = Number(headers.get("content-length") ?? NaN);
  return Number.isSafeInteger(length) ? new FixedLengthStream(length) : new IdentityTransformStream();
}

function run(script: unknown, request: Request, env: unknown, ctx: unknown): Response | Promise<Response> {
  const handler: Handler = typeof script === "function" ? new (script as Entrypoint)(ctx, env) : (script as Handler);
  if (typeof handler?.fetch !== "function") throw new Error("Handler does not export a fetch() function.");
  return handler.fetch(request, env, ctx);
}

function answer(kind: string, status: number, message: string): Response {
  return new Response(message, { status, headers: { [CALL_HEADER]: kind } });
}
