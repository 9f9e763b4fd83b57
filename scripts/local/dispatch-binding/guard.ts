import { CALL_HEADER, REFUSED, THREW } from "./call.ts";

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
  return {
    async fetch(request: Request, env: unknown, ctx: unknown): Promise<Response> {
      const call = request.headers.get(CALL_HEADER);
      if (!call?.startsWith(`${key} `)) return answer(REFUSED, 403, "not called through a dispatch namespace");
      const meant = new Request(call.slice(key.length + 1), request);
      meant.headers.delete(CALL_HEADER);
      meant.headers.set("host", new URL(meant.url).host);
      try {
        const response = await run(script, meant, env, ctx);
        if (response instanceof Response) return response;
        throw new TypeError("Incorrect type for Promise: the Promise did not resolve to 'Response'.");
      } catch (error) {
        console.error(error);
        return answer(THREW, 500, error instanceof Error ? error.message : String(error));
      }
    },
  };
}

function run(script: unknown, request: Request, env: unknown, ctx: unknown): Response | Promise<Response> {
  const handler: Handler = typeof script === "function" ? new (script as Entrypoint)(ctx, env) : (script as Handler);
  if (typeof handler?.fetch !== "function") throw new Error("Handler does not export a fetch() function.");
  return handler.fetch(request, env, ctx);
}

function answer(kind: string, status: number, message: string): Response {
  return new Response(message, { status, headers: { [CALL_HEADER]: kind } });
}
