import { systemClock, type Clock } from "../clock.ts";
import type { Answer, Target, TargetRequest } from "../target.ts";
import { answerError, answerJson } from "../target.ts";
import type { ChildSpec } from "./child.ts";
import { LegacySession } from "./legacy-session.ts";
import { ModernChild } from "./modern-child.ts";
import { headerOf, readPost, type PostBody } from "./post-body.ts";
import { probe } from "./probe.ts";

/** A child that has been idle for this long counts as abandoned and is ended. Most clients never end their session. */
export const CHILD_IDLE_MS = 30 * 60_000;

/**
 * How often a comment is sent on open event streams, which shows whether their readers are still there, and idle children are
 * looked for. Less than the 60 s after which proxies close a silent stream, and rare enough to cost nothing.
 */
export const SWEEP_MS = 30_000;

/** Each session is a separate process, often a Node process of 50 MB. */
const MAX_SESSIONS = 32;

export type StdioOptions = { readonly maxSessions?: number; readonly clock?: Clock };

/** A request becomes one line in memory. Arguments with files or images have a few megabytes. */
const MAX_BODY_BYTES = 64 * 1024 * 1024;

/** JSON-RPC error codes of the transport, as the MCP SDKs use them. */
const BAD_REQUEST = -32_000;
const SESSION_UNKNOWN = -32_001;
const PARSE_ERROR = -32_700;

/**
 * An MCP server that speaks stdio, offered as Streamable HTTP in both eras. Each session of the 2025 revisions has its own child
 * process, which ends with the session. Requests of 2026-07-28, which have no session, share one child.
 */
export class StdioTarget implements Target {
  readonly #spec: ChildSpec;
  readonly #machine: string;
  readonly #maxSessions: number;
  readonly #sessions = new Map<string, LegacySession>();
  readonly #clock: Clock;
  #stopSweep: () => void = () => undefined;
  /** Children that are being ended. */
  readonly #ending = new Set<Promise<void>>();
  #modern: Promise<ModernChild | null> | null = null;
  /** The child that `#modern` resolved with, while it lives. */
  #modernChild: ModernChild | null = null;
  #era: "modern" | "legacy" | null = null;
  readonly #closing = new AbortController();

  constructor(
    spec: ChildSpec,
    machine: string,
    { maxSessions = MAX_SESSIONS, clock = systemClock }: StdioOptions = {},
  ) {
    this.#maxSessions = maxSessions;
    this.#clock = clock;
    this.#spec = spec;
    this.#machine = machine;
    this.#sweepLater();
  }

  serve(request: TargetRequest, answer: Answer): void {
    this.#serve(request, answer).catch((reason: unknown) =>
      this.#fail(answer, reason instanceof Error ? reason.message : String(reason), request.body),
    );
  }

  async close(): Promise<void> {
    this.#closing.abort();
    this.#stopSweep();
    for (const session of this.#sessions.values()) this.#end(session, "the connector was ended");
    const modern = await this.#modern?.catch(() => null); // the caller that started it was told why it failed
    if (modern) this.#end(modern, "the connector was ended");
    await Promise.all(this.#ending);
  }

  async #serve(request: TargetRequest, answer: Answer): Promise<void> {
    const id = headerOf(request.headers, "mcp-session-id");
    const session = id === null ? null : (this.#sessions.get(id) ?? null);
    if (id !== null && session === null) return refuse(answer, 404, SESSION_UNKNOWN, "Session not found");
    switch (request.method) {
      case "POST":
        return this.#post(request, session, answer);
      case "GET":
        if (session === null)
          return refuse(answer, 405, BAD_REQUEST, "Method Not Allowed: there is no stream without a session");
        return session.listen(answer);
      case "DELETE":
        if (session === null) return refuse(answer, 400, BAD_REQUEST, "Bad Request: Mcp-Session-Id header is required");
        this.#endSession(session, "its session was ended");
        answer.head(200, []);
        return answer.end();
      default:
        return refuse(answer, 405, BAD_REQUEST, "Method Not Allowed");
    }
  }

  async #post(request: TargetRequest, session: LegacySession | null, answer: Answer): Promise<void> {
    const bytes = request.body instanceof Uint8Array ? request.body : await readAll(request.body);
    const body = readPost(bytes, request.headers);
    if (body === null) return refuse(answer, 400, PARSE_ERROR, "Parse error: the body is not JSON-RPC");
    if (session !== null) return session.post(body, request, answer);
    if (body.isModern) return this.#postModern(body, answer);
    if (!body.messages.some((message) => message.method === "initialize"))
      return refuse(answer, 400, BAD_REQUEST, "Bad Request: Mcp-Session-Id header is required");
    if (this.#closing.signal.aborted) return this.#fail(answer, "its connector is ending", bytes);
    if (this.#sessions.size >= this.#maxSessions && !this.#makeRoom()) {
      const limit = this.#maxSessions;
      return answerError(answer, { code: "machine_busy", machine: this.#machine, limit, counts: "sessions" }, bytes);
    }
    const opened = new LegacySession(this.#spec, this.#machine, this.#clock, () => this.#sessions.delete(opened.id));
    this.#sessions.set(opened.id, opened);
    opened.post(body, request, answer);
  }

  async #postModern(body: PostBody, answer: Answer): Promise<void> {
    if (this.#closing.signal.aborted) return this.#fail(answer, "its connector is ending", body.bytes);
    this.#modern ??= this.#startModern();
    const starting = this.#modern;
    const modern = await starting.catch((reason: unknown) => {
      if (this.#modern === starting) this.#modern = null; // the next request tries again
      throw reason;
    });
    // The answer of a server of the 2025 revisions, so that a client that speaks both falls back to the handshake.
    if (modern === null) return refuse(answer, 400, BAD_REQUEST, "Bad Request: Mcp-Session-Id header is required");
    if (!answer.isOver) modern.post(body, answer); // the caller may have left while the server was starting
  }

  /** The child for 2026-07-28; `null` when the server does not speak it. */
  async #startModern(): Promise<ModernChild | null> {
    let child: ModernChild | null = null;
    const ended = (): void => {
      if (this.#modernChild !== child) return; // it was ended as idle, and another may have been started since
      this.#modern = null; // the next request starts another
      this.#modernChild = null;
    };
    if (this.#era === "modern") {
      child = this.#modernChild = ModernChild.start(this.#spec, this.#machine, this.#clock, ended);
      return child;
    }
    const verdict = await probe(this.#spec, this.#closing.signal);
    if (verdict.era === "unknown") throw new Error(`its server is gone: ${verdict.why}`);
    this.#era = verdict.era;
    if (verdict.era === "legacy") return null;
    child = this.#modernChild = new ModernChild(this.#machine, this.#clock, ended, verdict.adopt);
    return child;
  }

  #sweepLater(): void {
    this.#stopSweep = this.#clock.after(SWEEP_MS, () => {
      this.#sweepLater();
      for (const session of this.#sessions.values()) session.keepAlive();
      this.#modernChild?.keepAlive();
      this.#endIdle(this.#clock.nowMs());
    });
  }

  /** Ends children that have been idle for too long. */
  #endIdle(nowMs: number): void {
    for (const session of this.#sessions.values()) {
      if (nowMs - (session.idleSinceMs ?? nowMs) >= CHILD_IDLE_MS)
        this.#endSession(session, "it was idle for too long");
    }
    const modern = this.#modernChild;
    if (modern === null || nowMs - (modern.idleSinceMs ?? nowMs) < CHILD_IDLE_MS) return;
    this.#modern = null; // from now on: a request that comes while the child is ending gets another
    this.#modernChild = null;
    this.#end(modern, "it was idle for too long");
  }

  /**
   * Ends the session that is most likely abandoned, or else the least recently used one. Most clients leave without ending their
   * session, and one that is still there opens a new session when it gets 404. Returns `false` if clients wait for calls in all
   * sessions.
   */
  #makeRoom(): boolean {
    const [idlest] = [...this.#sessions.values()]
      .filter((session) => !session.isAwaited)
      .sort((one, other) => one.worth.rank - other.worth.rank || one.worth.usedMs - other.worth.usedMs);
    if (idlest === undefined) return false;
    this.#endSession(idlest, "a newer session needed room");
    return true;
  }

  #endSession(session: LegacySession, why: string): void {
    this.#sessions.delete(session.id);
    this.#end(session, why);
  }

  #end(one: LegacySession | ModernChild, why: string): void {
    const ending = one.end(why).finally(() => this.#ending.delete(ending));
    this.#ending.add(ending);
  }

  #fail(answer: Answer, reason: string, body: TargetRequest["body"]): void {
    answerError(answer, { code: "machine_failed", machine: this.#machine, reason }, body);
  }
}

function refuse(answer: Answer, status: number, code: number, message: string): void {
  answerJson(answer, status, { jsonrpc: "2.0", error: { code, message }, id: null });
}

async function readAll(body: ReadableStream<Uint8Array>): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of body) {
    bytes += chunk.length;
    if (bytes > MAX_BODY_BYTES) throw new Error(`a request of over ${MAX_BODY_BYTES} bytes does not fit a line`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}
