import { ERROR_HEADER, errorResponse } from "#protocol/error.ts";
import { OPERATOR_PREFIX, OperatorHeader } from "#protocol/header.ts";
import { RESERVED_BINDING_PREFIX } from "#protocol/hosted-server.ts";
import { CallRequest, type MachineState, ScriptPath } from "#protocol/script-api.ts";
import { failureResponse } from "#protocol/stand-in.ts";
import { smallBody } from "../small-body.ts";
import { operatorErrorOf } from "../failure.ts";
import { McpClient } from "../mcp-client.ts";
import { isolateStorage } from "./isolate-storage.ts";

/** The bindings that Operator gives a hosted script. They name its owner, and give access to nothing. */
type HostedEnv = {
  readonly OPERATOR_OWNER: string;
  readonly OPERATOR_NAME: string;
  readonly OPERATOR_SLUG: string;
  readonly OPERATOR_TEMPLATE: string;
  readonly OPERATOR_WRAPPER: string;
};

/** What a Worker's default export may be: an object with `fetch`, or a class (`WorkerEntrypoint`). */
type Handler = { fetch(request: Request, env: unknown, ctx: ExecutionContext): Response | Promise<Response> };
type EntrypointClass = new (ctx: ExecutionContext, env: unknown) => { fetch(request: Request): Promise<Response> };

/** A log that never has an event: a hosted server has none. */
const NO_LOG = { epoch: "hosted", seq: 0 };

/** What the server's sessions with `call_tool` remember, and the number of the last request. Both live as long as the isolate. */
const storage = isolateStorage();
const ids = { next: 1 };

/**
 * Wraps a hosted server's Worker. Operator uploads this beside the server's own modules, and the script's main module exports the
 * result. To the rest of Operator the script then looks like a machine's:
 *
 * - Only its owner gets in. Anybody else is told that it does not exist, in the words of a script that does not.
 * - `/mcp` is the server's own endpoint, passed through. The server sees no other path, none of Operator's headers and none of its
 *   bindings.
 * - `/operator/call` sends one JSON-RPC request to it, for `call_tool` at `/mcp`.
 * - `/operator/state` says which version of the server answers, and of this wrapper.
 *
 * It runs in the server's own isolate, so it protects the server from others, and nobody from the server: that is done by what the
 * script does not get, and by the control API, which treats the answers of all scripts as hostile.
 */
export function host(server: unknown): ExportedHandler<HostedEnv> {
  return {
    async fetch(request, env, ctx) {
      const { pathname } = new URL(request.url);
      // Nothing dials a hosted server. The dispatch Worker lets this path in without the secret, so this is the answer for a machine
      // that does not exist, too.
      if (pathname === ScriptPath.LINK) return errorResponse({ code: "unauthorized" });
      if (request.headers.get(OperatorHeader.CALLER) !== env.OPERATOR_OWNER)
        return errorResponse({ code: "machine_unknown", machine: env.OPERATOR_SLUG });
      switch (pathname) {
        case ScriptPath.MCP:
          return relay(server, request, env, ctx);
        case ScriptPath.CALL:
          return call(server, request, env, ctx);
        case ScriptPath.STATE:
          return Response.json(stateOf(env));
        case ScriptPath.EVENTS:
          return Response.json({ events: [], position: NO_LOG, gap: false, more: false });
        default:
          return errorResponse({ code: "not_found", reason: "A hosted server answers at /mcp only." });
      }
    },
  };
}

async function relay(server: unknown, request: Request, env: HostedEnv, ctx: ExecutionContext): Promise<Response> {
  const body = await smallBody(request);
  const { method, headers, signal } = request;
  const given = body === null ? request : new Request(request.url, { method, headers, body, signal });
  try {
    return await run(server, given, env, ctx);
  } catch (reason) {
    if (request.signal.aborted) throw reason; // nobody waits for the answer
    return failureResponse(operatorErrorOf(reason, env.OPERATOR_NAME), body);
  }
}

async function call(server: unknown, request: Request, env: HostedEnv, ctx: ExecutionContext): Promise<Response> {
  const parsed = CallRequest.safeParse(await request.json().catch(() => null));
  if (!parsed.success) return errorResponse({ code: "invalid_request", reason: "not a call" });
  // A client for each request: what one request has opened must not be used by another, and the storage has only plain values.
  const send = (asked: Request, body: Uint8Array): Promise<Response> =>
    run(server, new Request(asked, { method: "POST", body: body.slice() }), env, ctx);
  const client = new McpClient(storage, send, ids);
  try {
    return await client.call(parsed.data, request.signal);
  } catch (reason) {
    return failureResponse(operatorErrorOf(reason, env.OPERATOR_NAME), null);
  }
}

/** The server's answer to one request, without headers that only Operator sets. */
async function run(server: unknown, request: Request, env: HostedEnv, ctx: ExecutionContext): Promise<Response> {
  const cleaned = new Request(request);
  const ours: string[] = [];
  for (const name of cleaned.headers.keys()) if (name.startsWith(OPERATOR_PREFIX)) ours.push(name);
  for (const name of ours) cleaned.headers.delete(name);
  const own = ownBindings(env);
  const response: unknown =
    typeof server === "function"
      ? await new (server as EntrypointClass)(ctx, own).fetch(cleaned)
      : await handlerIn(server).fetch(cleaned, own, ctx);
  if (!(response instanceof Response)) throw new Error("its fetch() did not return a Response");
  // The runtime would end the call with an error of its own: nobody asks for a WebSocket here.
  if (response.webSocket !== null) throw new Error("its MCP server answered with a WebSocket");
  if (!response.headers.has(ERROR_HEADER)) return response;
  const copy = new Response(response.body, response);
  copy.headers.delete(ERROR_HEADER);
  return copy;
}

function handlerIn(server: unknown): Handler {
  if (typeof server === "object" && server !== null && "fetch" in server && typeof server.fetch === "function")
    return server as Handler;
  throw new Error("its Worker has no default export with a fetch()");
}

function ownBindings(env: HostedEnv): Record<string, unknown> {
  return Object.fromEntries(Object.entries(env).filter(([name]) => !name.startsWith(RESERVED_BINDING_PREFIX)));
}

function stateOf(env: HostedEnv): MachineState {
  return {
    online: true,
    epoch: 1,
    connectedAtMs: null,
    lastSeenMs: Date.now(),
    facts: null,
    position: NO_LOG,
    template: env.OPERATOR_TEMPLATE,
    wrapper: env.OPERATOR_WRAPPER,
    exchanges: 0,
    sessions: [],
  };
}
