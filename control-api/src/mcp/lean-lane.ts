import {
  CLIENT_CAPABILITIES_META_KEY,
  CLIENT_INFO_META_KEY,
  isInputRequiredResult,
  PROTOCOL_VERSION_META_KEY,
  ProtocolErrorCode,
} from "@modelcontextprotocol/server";
import { utf8 } from "#protocol/bytes.ts";
import { isRecord } from "#protocol/json.ts";
import { CallCancelled } from "./cancellation.ts";
import { TOOLS } from "./tools/tool-list.ts";
import type { ToolOutcome } from "./tools/tool.ts";

/**
 * A fast path for the two requests that make up nearly all traffic: `tools/call` and `tools/list` of a 2025-era client.
 *
 * The SDK's handler creates a server, a transport and a stream for each request, and validates every message against its
 * schemas several times. That costs more CPU than the rest of a call. This path accepts a request only if it is exactly as
 * expected. Everything else goes to the SDK, which knows every rule and every error. So this path never gives an answer that
 * the SDK would not give; the conformance suite runs through both.
 */

/** Revisions whose requests do not describe themselves in `_meta`. Requests of later ones are left to the SDK. */
const REVISIONS: ReadonlySet<string | null> = new Set(["2025-11-25", "2025-06-18", "2025-03-26"]);

/** Keys of `_meta` that mark a request of revision 2026-07-28. */
const MODERN_META = [PROTOCOL_VERSION_META_KEY, CLIENT_INFO_META_KEY, CLIENT_CAPABILITIES_META_KEY];

const CALL_PARAMS: ReadonlySet<string> = new Set(["name", "arguments", "_meta"]);

/**
 * A call that finishes within this time is answered with plain JSON. After that, or at the first progress notification, the
 * answer becomes an event stream, so that proxies and clients see that the call is alive. Milliseconds.
 */
const ONE_PIECE_MS = 5_000;

/** Proxies drop a stream that is silent for a minute, and some after 30 s. Milliseconds. */
const KEEP_ALIVE_MS = 15_000;

type Id = string | number;

/** A request that this path can answer. */
export type LeanRequest =
  | { readonly method: "tools/list"; readonly id: Id }
  | {
      readonly method: "tools/call";
      readonly id: Id;
      readonly name: string;
      readonly args: Record<string, unknown>;
      readonly meta: Record<string, unknown> | undefined;
      readonly progressToken: string | number | undefined;
    };

/** The request in `body`; `null` leaves it to the SDK. */
export function leanRequestIn({ headers }: Request, body: unknown): LeanRequest | null {
  if (!isRecord(body) || body["jsonrpc"] !== "2.0" || !isId(body["id"])) return null;
  const { id, method, params = {} } = body;
  if (method !== "tools/call" && method !== "tools/list") return null;
  if (!REVISIONS.has(headers.get("mcp-protocol-version"))) return null;
  const accept = headers.get("accept");
  if (accept === null || !accept.includes("application/json") || !accept.includes("text/event-stream")) return null;
  if (!isRecord(params)) return null;
  const meta = params["_meta"];
  if (meta !== undefined && !(isRecord(meta) && MODERN_META.every((key) => !(key in meta)))) return null;
  if (method === "tools/list") return { method, id };
  const { name, arguments: args = {} } = params;
  if (typeof name !== "string" || !isRecord(args)) return null;
  if (!Object.keys(params).every((key) => CALL_PARAMS.has(key))) return null;
  const { progressToken, ...rest } = meta ?? {};
  if (progressToken !== undefined && !isId(progressToken)) return null;
  return { method, id, name, args, meta: Object.keys(rest).length === 0 ? undefined : rest, progressToken };
}

const LIST_RESULT = JSON.stringify({ tools: TOOLS });

export function leanList(id: Id): Response {
  return whole(`{"result":${LIST_RESULT},"jsonrpc":"2.0","id":${JSON.stringify(id)}}`);
}

/** Sends a notification to the caller, before the answer. Resolves when the caller has read it. */
export type Notify = (method: string, params: Record<string, unknown>) => Promise<void>;

/** Sends a request to the caller, before the answer. The caller answers it with a POST of its own (elicitation/client-form.ts). */
export type SendRequest = (id: string, method: string, params: object) => Promise<void>;

/** Runs a call and answers it: as JSON, or as an event stream if it takes long or sends notifications first. */
export async function leanCall(
  id: Id,
  run: (notify: Notify, request: SendRequest) => Promise<ToolOutcome>,
): Promise<Response> {
  const { promise: opened, resolve: open } = Promise.withResolvers<Response>();
  let stream: EventStream | null = null;
  const streaming = (): EventStream => {
    if (stream === null) {
      stream = new EventStream();
      open(stream.response);
    }
    return stream;
  };
  const patience = setTimeout(streaming, ONE_PIECE_MS);
  const send = (message: object): Promise<void> => streaming().send(JSON.stringify({ jsonrpc: "2.0", ...message }));
  const answered = run(
    (method, params) => send({ method, params }),
    (request, method, params) => send({ id: request, method, params }),
  )
    .then(resultOf, (reason: unknown) => (reason instanceof CallCancelled ? null : errorOf(reason)))
    .then((answer) => {
      clearTimeout(patience);
      if (answer === null) {
        // The client cancelled the call and expects no response: an event stream that ends without one.
        const silent = streaming();
        silent.end();
        return silent.response;
      }
      const text = JSON.stringify({ ...answer, jsonrpc: "2.0", id });
      if (stream === null) return whole(text);
      void stream.send(text);
      stream.end();
      return stream.response;
    });
  return Promise.race([answered, opened]);
}

/** A result must have content (MCP, "Tool Result"). Beyond that it belongs to the machine and passes unchanged. */
function resultOf(result: ToolOutcome): { result: object } | { error: object } {
  if (Array.isArray(result.content)) return { result };
  if (isInputRequiredResult(result))
    return invalidResult(
      "the tool asks for input first; a client of this revision can give it at the machine's own URL",
    );
  return result.content === undefined
    ? { result: { ...result, content: [] } }
    : invalidResult("its content is not a list");
}

function invalidResult(why: string): { error: object } {
  return { error: { code: ProtocolErrorCode.InvalidParams, message: `Invalid tools/call result: ${why}` } };
}

/** The error code for a missing resource that 2025-era clients know. SEP-2164 changed it later. */
const RESOURCE_NOT_FOUND = -32_002;

function errorOf(reason: unknown): { error: object } {
  const { code, message, data } = isRecord(reason) || reason instanceof Error ? (reason as Failure) : {};
  const known = Number.isSafeInteger(code) ? code : ProtocolErrorCode.InternalError;
  return {
    error: {
      code: known === RESOURCE_NOT_FOUND ? ProtocolErrorCode.InvalidParams : known,
      message: message ?? "Internal error",
      ...(data === undefined ? {} : { data }),
    },
  };
}

type Failure = { code?: unknown; message?: string; data?: unknown };

class EventStream {
  readonly response: Response;
  readonly #writer: WritableStreamDefaultWriter<Uint8Array>;
  readonly #keepAlive: ReturnType<typeof setInterval>;

  constructor() {
    const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>();
    this.#writer = writable.getWriter();
    this.response = new Response(readable, {
      headers: {
        "content-type": "text/event-stream",
        "cache-control": "no-cache, no-transform",
        "x-accel-buffering": "no",
      },
    });
    this.#keepAlive = setInterval(() => void this.#write(": keepalive\n\n"), KEEP_ALIVE_MS);
  }

  send(message: string): Promise<void> {
    return this.#write(`event: message\ndata: ${message}\n\n`);
  }

  end(): void {
    clearInterval(this.#keepAlive);
    this.#writer.close().catch(() => undefined); // as in #write
  }

  async #write(text: string): Promise<void> {
    try {
      await this.#writer.write(utf8(text));
    } catch {
      // The reader has gone. The request's signal reports that as well, and ends the call.
      clearInterval(this.#keepAlive);
    }
  }
}

function whole(json: string): Response {
  return new Response(json, { headers: { "content-type": "application/json" } });
}

function isId(value: unknown): value is Id {
  return typeof value === "string" || Number.isSafeInteger(value);
}
