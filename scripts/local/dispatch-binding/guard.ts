import { CALL_HEADER, CANCELLED, REFUSED, THREW } from "./call.ts";

interface Handler {
  fetch?(request: Request, env: unknown, ctx: unknown): Response | Promise<Response>;
}
type Entrypoint = new (ctx: unknown, env: unknown) => Handler;

/**
 * Stands before a user script's default entrypoint, in the script's own isolate. On Cloudflare only the dispatch Worker
 * reaches a user script; here any process can dial its port, so a call must carry the script's key. It gives the
 * script the URL the caller meant, and lets an exception travel back as one.
 */
export function guard(script: unknown, key: string): Handler {
  /** Calls whose script is at work, by their id, and how to tell it that their caller has gone. */
  const open = new Map<string, () => void>();

  return {
    async fetch(request: Request, env: unknown, ctx: unknown): Promise<Response> {
      const [shown, id = "", url] = request.headers.get(CALL_HEADER)?.split(" ", 3) ?? [];
      if (shown !== key) return answer(REFUSED, 403, "not called through a dispatch namespace");
      if (url === undefined) {
        open.get(id)?.();
        return answer(CANCELLED, 200, "");
      }
      const call = new AbortController();
      // Through a promise, because this one's context is that of the call. What belongs to one request may not be
      // touched by another, such as the one that cancels it; a promise may, and goes on where it was made.
      const { promise: gone, resolve } = Promise.withResolvers<void>();
      open.set(id, resolve);
      void gone.then(() => call.abort());
      request.signal?.addEventListener("abort", resolve as () => void);
      try {
        const given = await run(script, asMeant(request, url, call.signal), env, ctx);
        if (!(given instanceof Response))
          throw new TypeError("Incorrect type for Promise: the Promise did not resolve to 'Response'.");
        const response = withoutVerdict(given);
        if (!isEventStream(response)) {
          open.delete(id);
          return response;
        }
        const { readable, writable } = new IdentityTransformStream();
        const passed = response.body?.pipeTo(writable, { signal: call.signal });
        void passed?.catch(() => undefined).then(() => open.delete(id)); // either end has gone, or was cancelled
        return new Response(readable, response);
      } catch (error) {
        open.delete(id);
        if (!call.signal.aborted) console.error(error);
        return answer(THREW, 500, error instanceof Error ? error.message : String(error));
      }
    },
  };
}

/** The request that the caller made, at the URL that it asked for. */
function asMeant(request: Request, url: string, signal: AbortSignal): Request {
  const { method, headers, body, redirect } = request;
  const meant = new Request(url, { method, headers, body, redirect, signal });
  meant.headers.delete(CALL_HEADER);
  meant.headers.set("host", new URL(url).host);
  return meant;
}

/** The script's answer. What passes for the guard's own is not for a script to say: the binding would make the call again. */
function withoutVerdict(response: Response): Response {
  if (!response.headers.has(CALL_HEADER)) return response;
  const own = new Response(response.body, response); // its WebSocket too
  own.headers.delete(CALL_HEADER);
  return own;
}

/** Only such a stream stays open without a word: any other body is written to, and a write notices that its reader has gone. */
function isEventStream({ headers, body }: Response): boolean {
  return body !== null && headers.get("content-type")?.startsWith("text/event-stream") === true;
}

function run(script: unknown, request: Request, env: unknown, ctx: unknown): Response | Promise<Response> {
  const handler: Handler = typeof script === "function" ? new (script as Entrypoint)(ctx, env) : (script as Handler);
  if (typeof handler?.fetch !== "function") throw new Error("Handler does not export a fetch() function.");
  return handler.fetch(request, env, ctx);
}

function answer(kind: string, status: number, message: string): Response {
  return new Response(message, { status, headers: { [CALL_HEADER]: kind } });
}
