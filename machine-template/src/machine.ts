import { Agent } from "agents";
import * as z from "zod/mini";
import { CloseCode } from "#protocol/close-code.ts";
import type { EventFrame, Facts } from "#protocol/control.ts";
import { errorResponse, type OperatorError } from "#protocol/error.ts";
import { LoggedEvent, LogPosition, PresenceType } from "#protocol/event.ts";
import { CHUNK_BYTES, PROTOCOL_VERSION } from "#protocol/limits.ts";
import { CallRequest, type MachineState, type Presence, ScriptPath } from "#protocol/script-api.ts";
import { closingWord, failureResponse } from "#protocol/stand-in.ts";
import type { Env } from "./env.ts";
import { EventLog } from "./event-log.ts";
import { operatorErrorOf } from "./failure.ts";
import { Link, type LinkListener } from "./link/link.ts";
import { McpClient } from "./mcp-client.ts";
import { PresenceRecord } from "./presence-record.ts";
import { Reporter } from "./reporter.ts";

/** A report that failed is repeated after so many seconds. */
const REPORT_AGAIN_S = 5;

/** A machine that fell silent without a word is found out by then, even if nobody calls it. Seconds; a wake-up each costs next to nothing. */
const PRESENCE_CHECK_S = 5 * 60;

const CloseRequest = z.object({ code: z.enum(CloseCode), reason: z.string() });

/**
 * One machine: its link, presence and event log.
 *
 * `fetch` and the WebSocket handlers are overridden, since every byte of every call passes there; schedules and
 * alarms are the Agent's.
 */
export class Machine extends Agent<Env> implements LinkListener {
  readonly #log = new EventLog(this.ctx.storage.sql);
  readonly #record = new PresenceRecord(this.ctx.storage.kv);
  readonly #link = new Link(this.ctx, this.env.NAME, this);
  readonly #reporter = new Reporter(
    this.env,
    () => this.presence(),
    () => this.#again(REPORT_AGAIN_S, "report"),
  );
  readonly #client = new McpClient(this.ctx.storage.kv, (request, body) =>
    this.#exchange(request, ScriptPath.MCP, body),
  );

  override async fetch(request: Request): Promise<Response> {
    const url = new URL(request.url);
    switch (url.pathname) {
      case ScriptPath.MCP:
        return this.#relay(request, url.pathname + url.search);
      case ScriptPath.CALL:
        return this.#call(request);
      case ScriptPath.LINK:
        return this.#link.accept(); // app.ts has compared the token
      case ScriptPath.STATE:
        return Response.json(this.#state());
      case ScriptPath.EVENTS:
        return this.#events(url.searchParams);
      case ScriptPath.LOG:
        return this.#moveLog(request);
      case ScriptPath.CLOSE:
        return this.#close(request);
      default:
        return errorResponse({ code: "not_found", reason: "A machine answers at /mcp only." });
    }
  }

  override webSocketMessage(socket: WebSocket, message: string | ArrayBuffer): void {
    this.#link.message(socket, message);
  }

  override webSocketClose(socket: WebSocket, code: number): void {
    this.#link.closed(socket);
    // 1006 and 1015 mark a transport that is gone: there is no closing handshake to complete (RFC 6455 section 7.4.1).
    if (code === 1006 || code === 1015) return;
    // 1005 marks a close frame without a code, which is answered by the same.
    if (code === 1005) socket.close();
    else socket.close(code);
  }

  override webSocketError(socket: WebSocket): void {
    this.#link.closed(socket);
  }

  /** LinkListener: a connector said hello. */
  online(stream: string, facts: Facts, replaced: boolean): { epoch: number; acked: number } {
    if (!replaced) this.#endUnseen();
    const epoch = this.#record.begin(stream, facts);
    this.#note(replaced ? PresenceType.REPLACED : PresenceType.ONLINE, { epoch });
    this.ctx.waitUntil(this.#again(PRESENCE_CHECK_S, "checkPresence"));
    return { epoch, acked: this.#log.acked(stream) };
  }

  /** LinkListener: the link of `epoch` is gone. */
  offline(epoch: number, lastHeardMs: number): void {
    if (this.#record.end(epoch, lastHeardMs)) this.#note(PresenceType.OFFLINE, { epoch });
  }

  /** LinkListener: a connector was refused because of its age. */
  tooOld(protocol: number): void {
    this.#record.refuse(protocol);
  }

  /** LinkListener: the machine's facts changed. */
  facts(facts: Facts): void {
    this.#record.learn(facts);
    this.#reporter.report();
  }

  /** LinkListener: the connector sent events. */
  events(frame: EventFrame): number {
    const acked = this.#log.store(this.#record.row.stream ?? "", frame);
    this.#reporter.report();
    return acked;
  }

  /** Schedule: repeat a report that failed. */
  async report(): Promise<void> {
    this.#reporter.report();
  }

  /** Schedule: find out a link that died without a word, and trim the log by age. */
  async checkPresence(): Promise<void> {
    this.#log.trim(Date.now());
    if (this.#link.isOnline) await this.#again(PRESENCE_CHECK_S, "checkPresence");
    else this.#endUnseen();
  }

  presence(): Presence {
    const online = this.#link.isOnline;
    const { epoch, connectedAtMs, lastSeenMs, facts } = this.#record.row;
    return {
      online,
      epoch,
      connectedAtMs: online ? connectedAtMs : null,
      lastSeenMs: this.#link.lastHeardMs ?? lastSeenMs,
      facts,
      position: this.#log.position,
      template: this.env.TEMPLATE,
    };
  }

  async #relay(request: Request, path: string): Promise<Response> {
    const body = await smallBody(request);
    try {
      return await this.#exchange(request, path, body);
    } catch (reason) {
      return failureResponse(operatorErrorOf(reason, this.env.NAME), body);
    }
  }

  async #call(request: Request): Promise<Response> {
    const parsed = CallRequest.safeParse(await jsonOf(request));
    if (!parsed.success) return errorResponse({ code: "invalid_request", reason: "not a call" });
    try {
      return await this.#client.call(parsed.data, request.signal);
    } catch (reason) {
      return failureResponse(operatorErrorOf(reason, this.env.NAME), null);
    }
  }

  #exchange(request: Request, path: string, body: Uint8Array | null): Promise<Response> {
    return this.#link.exchange(
      request,
      path,
      body,
      () => this.#whyOffline(),
      (error: OperatorError) => closingWord(error, request.method, body),
    );
  }

  /** Without a link: a connector that was refused for its age since the last link is why, else the machine is just away. */
  #whyOffline(): OperatorError {
    const { lastSeenMs, tooOld } = this.#record.row;
    const machine = this.env.NAME;
    if (tooOld === undefined) return { code: "machine_offline", machine, lastSeenMs };
    const reason = `it speaks version ${tooOld} of the link's protocol, this Operator version ${PROTOCOL_VERSION}`;
    return { code: "agent_too_old", machine, reason };
  }

  #state(): MachineState {
    return { ...this.presence(), exchanges: this.#link.exchanges, sessions: this.#log.sessions() };
  }

  #events(query: URLSearchParams): Response {
    const after = LogPosition.safeParse({ epoch: query.get("epoch"), seq: Number(query.get("seq") ?? Number.NaN) });
    return Response.json(this.#log.page(after.success ? after.data : null, query.get("session")));
  }

  async #moveLog(request: Request): Promise<Response> {
    if (request.method === "GET") return Response.json(this.#log.all());
    const events = z.array(LoggedEvent).safeParse(await jsonOf(request));
    if (!events.success) return errorResponse({ code: "invalid_request", reason: "not a log" });
    this.#log.append(events.data);
    return new Response(null, { status: 204 });
  }

  async #close(request: Request): Promise<Response> {
    const asked = CloseRequest.safeParse(await jsonOf(request));
    if (!asked.success) return errorResponse({ code: "invalid_request", reason: "not a close" });
    const { code, reason } = asked.data;
    this.#link.close(
      code,
      reason,
      code === CloseCode.REVOKED ? { code: "machine_revoked", machine: this.env.NAME } : undefined,
    );
    await this.#reporter
      .send()
      .catch((failure: unknown) => console.warn("report after a close failed", String(failure)));
    return new Response(null, { status: 204 });
  }

  /** A link that ended with the script itself (an upload, a crash) had nobody left to note its end. */
  #endUnseen(): void {
    const { epoch, connectedAtMs, lastSeenMs } = this.#record.row;
    if (connectedAtMs !== null) this.offline(epoch, lastSeenMs ?? connectedAtMs);
  }

  #note(type: string, data: Record<string, unknown>): void {
    this.#log.append([{ atMs: Date.now(), type, session: null, data }]);
    this.#reporter.report();
  }

  async #again(seconds: number, callback: "report" | "checkPresence"): Promise<void> {
    await this.schedule(seconds, callback, undefined, { idempotent: true });
  }
}

/** The JSON of a body, or `null` when it is none: no schema of ours takes that. */
function jsonOf(request: Request): Promise<unknown> {
  return request.json().catch(() => null);
}

/** A body that fits one frame, read whole; `null` when there is none or it has to be streamed. */
async function smallBody(request: Request): Promise<Uint8Array | null> {
  const length = request.headers.get("content-length");
  if (request.body === null || length === null || Number(length) > CHUNK_BYTES) return null;
  return new Uint8Array(await request.arrayBuffer());
}
