import { EventSourceParserStream } from "eventsource-parser/stream";
import type { CallRequest } from "#protocol/script-api.ts";
import * as z from "zod/mini";
import { HandshakeFailed } from "./failure.ts";
import { base64, utf8 } from "#protocol/bytes.ts";
import { OperatorFailure } from "#protocol/error.ts";
import { eventText } from "#protocol/event-text.ts";
import { isEventStream } from "#protocol/header.ts";
import { parseJson } from "#protocol/json.ts";
import { RESPONSE_TIMEOUT_MS } from "#protocol/limits.ts";

/** The revisions of MCP that a machine's server may speak. */
const MODERN = "2026-07-28";
const LEGACY = "2025-11-25";

const CLIENT = { name: "operator", version: "1" };

/** The era of the machine's server, which is found out by asking it once. */
const Era = z.discriminatedUnion("kind", [
  z.object({ kind: z.literal("modern") }),
  z.object({ kind: z.literal("legacy"), version: z.string(), session: z.nullable(z.string()) }),
]);
type Era = z.infer<typeof Era>;

/**
 * Limits for a server's whole answer to a handshake. A list of what it can do has a few kilobytes. It may take as long to end as any answer may
 * take to begin, because a server that is being installed says nothing for minutes.
 */
export type HandshakeLimits = { readonly ms: number; readonly bytes: number };
const HANDSHAKE: HandshakeLimits = { ms: RESPONSE_TIMEOUT_MS, bytes: 1024 * 1024 };

/** Storage key of the era. Deployed scripts have stored it under this name. */
const KEY = "upstream";

const InitializeResult = z.object({ result: z.object({ protocolVersion: z.string() }) });
const DiscoverResult = z.object({ result: z.object({ supportedVersions: z.array(z.string()) }) });

/** Where the client remembers the server's era: a Durable Object's storage, or an isolate's memory. */
export type KeyValues = {
  get(key: string): unknown;
  put(key: string, value: unknown): void;
  delete(key: string): unknown;
};

/** Sends one HTTP request to the machine's MCP endpoint. */
export type Send = (request: Request, body: Uint8Array) => Promise<Response>;

/**
 * The script's own MCP client for the machine's server, used by calls from the unified endpoint. It asks the server once which
 * revision it speaks, and opens a new session by itself when the server has lost the old one.
 */
export class McpClient {
  readonly #storage: KeyValues;
  readonly #send: Send;
  #era: Era | null;
  #opening: Promise<Era> | null = null;
  readonly #ids: { next: number };
  readonly #handshake: HandshakeLimits;

  /** @param ids the number of the next request, shared by clients that share a session */
  constructor(storage: KeyValues, send: Send, ids = { next: 1 }, handshake = HANDSHAKE) {
    this.#storage = storage;
    this.#send = send;
    this.#ids = ids;
    this.#handshake = handshake;
    const stored = Era.safeParse(storage.get(KEY));
    this.#era = stored.success ? stored.data : null;
  }

  /** Sends one JSON-RPC request. Returns the server's answer unchanged: JSON, or an event stream that ends with the response. */
  async call(call: CallRequest, signal: AbortSignal): Promise<Response> {
    const known = this.#era;
    const response = await this.#request(known ?? (await this.#open()), call, signal);
    if (known === null || !isStale(known, response)) return response;
    // The server has lost our session or speaks another revision now. In both cases it has not carried out the call.
    await response.body?.cancel();
    if (this.#era === known) this.#remember(null);
    // Another call may have noticed first. One new session is enough for both.
    return this.#request(this.#era ?? (await this.#open()), call, signal);
  }

  async #request(era: Era, call: CallRequest, signal: AbortSignal): Promise<Response> {
    const id = `operator-${this.#ids.next++}`;
    const body = JSON.stringify({ jsonrpc: "2.0", id, method: call.method, params: paramsOf(era, call, id) });
    if (era.kind === "modern") return this.#post(era, call, body, signal);
    // A server of the 2025 revisions continues when its client hangs up. It has to be told with a notification.
    const tell = (): void => {
      this.#notify(era, "notifications/cancelled", { requestId: id }).catch((reason: unknown) =>
        console.warn("the server could not be told that a call was cancelled", String(reason)),
      );
    };
    signal.addEventListener("abort", tell, { once: true });
    const response = await this.#post(era, call, body, signal);
    if (isStale(era, response)) signal.removeEventListener("abort", tell);
    return response;
  }

  #open(): Promise<Era> {
    this.#opening ??= this.#discover().finally(() => {
      this.#opening = null;
    });
    return this.#opening;
  }

  async #discover(): Promise<Era> {
    const era = (await this.#isModern()) ? ({ kind: "modern" } as const) : await this.#initialize();
    this.#remember(era);
    return era;
  }

  async #isModern(): Promise<boolean> {
    const call = { method: "server/discover", params: {}, progress: false, timeoutMs: 0 };
    const era = { kind: "modern" } as const;
    const body = JSON.stringify({
      jsonrpc: "2.0",
      id: "operator-discover",
      method: call.method,
      params: paramsOf(era, call, ""),
    });
    const response = await this.#post(era, call, body, AbortSignal.any([]));
    const discovered = DiscoverResult.safeParse(await this.#answerIn(response));
    return discovered.success && discovered.data.result.supportedVersions.includes(MODERN);
  }

  async #initialize(): Promise<Era> {
    const params = { protocolVersion: LEGACY, capabilities: {}, clientInfo: CLIENT };
    const body = JSON.stringify({ jsonrpc: "2.0", id: "operator-initialize", method: "initialize", params });
    const response = await this.#send(requestOf({}), utf8(body));
    const session = response.headers.get("mcp-session-id");
    const answer = await this.#answerIn(response);
    const initialized = InitializeResult.safeParse(answer);
    if (!initialized.success)
      throw new HandshakeFailed(
        `its MCP server did not answer initialize (HTTP ${response.status}): ${JSON.stringify(answer ?? null).slice(0, 300)}`,
      );
    const era: Era = { kind: "legacy", version: initialized.data.result.protocolVersion, session };
    await this.#notify(era, "notifications/initialized");
    return era;
  }

  /** The answer to a handshake. All calls wait for it, so a server must not take it as far as it likes. */
  async #answerIn(response: Response): Promise<unknown> {
    const { limit, end } = within(this.#handshake);
    try {
      return await readResponse(response, limit);
    } catch (reason) {
      if (reason instanceof OperatorFailure) throw reason; // the link was lost
      throw new HandshakeFailed(reason instanceof Error ? reason.message : String(reason), { cause: reason });
    } finally {
      end();
    }
  }

  async #notify(era: Era, method: string, params: Record<string, unknown> = {}): Promise<void> {
    const body = utf8(JSON.stringify({ jsonrpc: "2.0", method, params }));
    const response = await this.#send(requestOf(eraHeaders(era)), body);
    await response.body?.cancel();
  }

  #post(era: Era, call: CallRequest, body: string, signal: AbortSignal): Promise<Response> {
    const headers = eraHeaders(era);
    if (era.kind === "modern") {
      headers["mcp-method"] = call.method;
      const name = call.params?.["name"] ?? call.params?.["uri"];
      if (typeof name === "string") headers["mcp-name"] = headerValue(name);
    }
    return this.#send(requestOf(headers, signal), utf8(body));
  }

  #remember(era: Era | null): void {
    this.#era = era;
    if (era === null) this.#storage.delete(KEY);
    else this.#storage.put(KEY, era);
  }
}

/** Whether the server expects another session or revision. 404 is a lost session (Streamable HTTP, "Session Management"). */
function isStale(era: Era, response: Response): boolean {
  if (era.kind === "legacy" && era.session !== null) return response.status === 404 || response.status === 400;
  return response.status === 400 || response.status === 404 || response.status === 405;
}

function paramsOf(era: Era, call: CallRequest, progressToken: string): Record<string, unknown> {
  const { _meta: given, ...params } = call.params ?? {};
  const meta: Record<string, unknown> = typeof given === "object" && given !== null ? { ...given } : {};
  if (call.progress) meta["progressToken"] = progressToken;
  else delete meta["progressToken"];
  if (era.kind === "modern") {
    meta["io.modelcontextprotocol/protocolVersion"] = MODERN;
    meta["io.modelcontextprotocol/clientInfo"] = CLIENT;
    meta["io.modelcontextprotocol/clientCapabilities"] = {};
  }
  return Object.keys(meta).length === 0 ? params : { ...params, _meta: meta };
}

function eraHeaders(era: Era): Record<string, string> {
  if (era.kind === "modern") return { "mcp-protocol-version": MODERN };
  return { "mcp-protocol-version": era.version, ...(era.session === null ? {} : { "mcp-session-id": era.session }) };
}

function requestOf(headers: Record<string, string>, signal?: AbortSignal): Request {
  return new Request("http://machine/mcp", {
    method: "POST",
    headers: { ...headers, "content-type": "application/json", accept: "application/json, text/event-stream" },
    ...(signal === undefined ? {} : { signal }),
  });
}

/** A name as a header value. Anything but plain ASCII is sent as Base64 (2026-07-28, Streamable HTTP, "Standard headers"). */
function headerValue(name: string): string {
  if (/^[\x21-\x7E](?:[\x20-\x7E]*[\x21-\x7E])?$/.test(name) && !name.startsWith("=?base64?")) return name;
  return `=?base64?${base64(utf8(name))}?=`;
}

/** The JSON-RPC response in a handshake's answer, which is JSON or an event stream; `undefined` when there is none. */
async function readResponse(
  { body, headers }: Response,
  limit: TransformStream<Uint8Array, Uint8Array>,
): Promise<unknown> {
  if (body === null) return undefined;
  const limited = body.pipeThrough(limit);
  if (!isEventStream(headers.get("content-type"))) {
    const value = parseJson(await new Response(limited).text());
    return isRpcResponse(value) ? value : undefined;
  }
  // A server may keep the stream open after its response. Leaving the loop closes it.
  for await (const event of limited.pipeThrough(eventText()).pipeThrough(new EventSourceParserStream())) {
    const value = parseJson(event.data);
    if (isRpcResponse(value)) return value;
  }
  return undefined;
}

/** What passes a body within the limits, and fails beyond them. `end` stops the clock, which would keep the object from hibernating. */
function within({ ms, bytes }: HandshakeLimits): { limit: TransformStream<Uint8Array, Uint8Array>; end: () => void } {
  const { promise: late, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, ms);
  let left = bytes;
  const limit = new TransformStream<Uint8Array, Uint8Array>({
    start(controller) {
      const reason = `its MCP server did not end its answer to the handshake within ${ms / 1000} s`;
      void late.then(() => controller.error(new Error(reason)));
    },
    transform(chunk, controller) {
      left -= chunk.byteLength;
      if (left >= 0) controller.enqueue(chunk);
      else controller.error(new Error(`its MCP server's answer to the handshake is larger than ${bytes} bytes`));
    },
  });
  return { limit, end: () => clearTimeout(timer) };
}

function isRpcResponse(value: unknown): boolean {
  return typeof value === "object" && value !== null && ("result" in value || "error" in value);
}
