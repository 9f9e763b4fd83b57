import {
  type CallToolResult,
  CLIENT_CAPABILITIES_META_KEY,
  CLIENT_INFO_META_KEY,
  isInputRequiredResult,
  PROTOCOL_VERSION_META_KEY,
  ProtocolErrorCode,
} from "@modelcontextprotocol/server";
import { utf8 } from "#protocol/bytes.ts";
import { isRecord } from "#protocol/json.ts";
import { TOOLS } from "./tools/tool-list.ts";

/**
 * A short way for the two requests that nearly all traffic consists of: `tools/call` and `tools/list` of a 2025-era
 * client. The SDK's handler builds a server, a transport and a stream for each request and validates every message against its
 * schemas several times; that is more work than all the rest of a call. What is not exactly as expected here is left to
 * the SDK, which knows every rule and every error, so this lane has only answers that the SDK would give as well.
 */

/** Revisions whose requests say nothing of themselves in `_meta`. Later ones are checked by the SDK. */
const REVISIONS: ReadonlySet<string | null> = new Set(["2025-11-25", "2025-06-18", "2025-03-26"]);

/** Keys of `_meta` that make a request one of 2026-07-28. */
const MODERN_META = [PROTOCOL_VERSION_META_KEY, CLIENT_INFO_META_KEY, CLIENT_CAPABILITIES_META_KEY];

const CALL_PARAMS: ReadonlySet<string> = new Set(["name", "arguments", "_meta"]);

/**
 * An answer is one piece of JSON when it is there within this time. After that, or with the first progress
 * notification, it becomes an event stream, so that proxies and clients see that the call is alive. Milliseconds.
 */
const ONE_PIECE_MS = 5_000;

/** Proxies drop a stream that is silent for a minute, and some after 30 s. Milliseconds. */
const KEEP_ALIVE_MS = 15_000;

type Id = string | number;

/** A request of the short way. */
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

/** The request in a body, if it can go the short way. */
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

/** Sends a notification to the caller, before the answer. Settles when the caller has taken it. */
export type Notify = (method: string, params: Record<string, unknown>) => Promise<void>;

/** Runs a call and answers it: as JSON, or as an event stream if it takes its time or has something to say before. */
export async function leanCall(id: Id, run: (notify: Notify) => Promise<CallToolResult>): Promise<Response> {
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
  const answered = run((method, params) => streaming().send(JSON.stringify({ jsonrpc: "2.0", method, params })))
    .then(resultOf, errorOf)
    .then((answer) => {
      clearTimeout(patience);
      const text = JSON.stringify({ ...answer, jsonrpc: "2.0", id });
      if (stream === null) return whole(text);
      void stream.send(text);
      stream.end();
      return stream.response;
    });
  return Promise.race([answered, opened]);
}

/** A result must have content (MCP, "Tool Result"); beyond that it is the machine's own and passes untouched. */
function resultOf(result: CallToolResult): { result: object } | { error: object } {
  if (Array.isArray(result.content)) return { result };
  if (isInputRequiredResult(result))
    return invalidResult(
      "the tool asks for input first, which a client of this revision can give at the machine's URL",
    );
  return result.content === undefined
    ? { result: { ...result, content: [] } }
    : invalidResult("its content is no list");
}

function invalidResult(why: string): { error: object } {
  return { error: { code: ProtocolErrorCode.InvalidParams, message: `Invalid tools/call result: ${why}` } };
}

/** The code that 2025-era clients know for a resource that is not there is another one than today's (SEP-2164). */
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
      // The reader has gone. Its request's signal says so too, and ends the call.
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
