import { DurableObject } from "cloudflare:workers";
import * as z from "zod/mini";
import { boundedFacts } from "#protocol/bounded.ts";
import { CloseCode } from "#protocol/close-code.ts";
import type { EventFrame, Facts } from "#protocol/control.ts";
import { errorResponse, type OperatorError } from "#protocol/error.ts";
import { EventDetail, LoggedEvent, LogPosition, PresenceType } from "#protocol/event.ts";
import { EVENT_LOG_ROWS, EVENT_PAGE_ROWS, LIVE_MS, PRESENCE_CHECK_MS, PROTOCOL_VERSION } from "#protocol/limits.ts";
import {
  CallRequest,
  CredentialChange,
  LogNumbers,
  type MachineState,
  type Presence,
  type ReportedPresence,
  ScriptPath,
} from "#protocol/script-api.ts";
import { closingWord, failureResponse } from "#protocol/stand-in.ts";
import { discardUnread } from "#protocol/unread-body.ts";
import { smallBody } from "./small-body.ts";
import { Alarm, type Job } from "./alarm.ts";
import type { Env } from "./env.ts";
import { EventLog } from "./event-log.ts";
import { operatorErrorOf } from "./failure.ts";
import { Credentials, refusalText, type Shown } from "./link/credentials.ts";
import { Link, type LinkListener } from "./link/link.ts";
import { Return } from "./link/return.ts";
import { McpClient } from "./mcp-client.ts";
import { PresenceRecord } from "./presence-record.ts";
import { type Arrived, REPORT_AGAIN_S, Reporter } from "./reporter.ts";

const ForgetRequest = z.object({ session: z.nullable(z.string()) });

const LiveRequest = z.object({ forMs: z.int() });

const CloseRequest = z.object({ code: z.enum(CloseCode), reason: z.string() });

/** Reports that a full log takes at most, as long as its events are of usual size. Whoever closes a link waits for 5 s. */
const MAX_LAST_REPORTS = Math.ceil(EVENT_LOG_ROWS / EVENT_PAGE_ROWS);

/** One machine: its link, presence and event log. */
export class Machine extends DurableObject<Env> implements LinkListener {
  readonly #alarm = new Alarm(this.ctx.storage);
  readonly #log = new EventLog(this.ctx.storage.sql);
  readonly #record = new PresenceRecord(this.ctx.storage.kv);
  readonly #credentials = new Credentials(this.ctx.storage.kv, this.env, (type, data) => this.#note(type, data));
  readonly #link = new Link(this.ctx, this.env.NAME, this);
  readonly #reporter = new Reporter(this.env, {
    presence: () => this.#reported(),
    push: () => this.#log.unpushed(this.#detail),
    arrived: (told, answer) => this.#arrived(told, answer),
    failed: (failures, againInS) => this.#alarm.set("report", againInS * 1000, failures),
    refused: () => this.#record.refuseReports(),
  });
  readonly #client = new McpClient(this.ctx.storage.kv, (request, body) =>
    this.#exchange(request, ScriptPath.MCP, body),
  );

  /** Until when somebody watches. In memory only: a watcher repeats it. Milliseconds since 1970. */
  #liveUntilMs = 0;

  // The last field: to ask whether the link is alive closes one that fell silent, which is noted and reported with the fields above.
  readonly #return = new Return(this.#record.row.connectedAtMs !== null && !this.#link.isOnline, Date.now());

  override async fetch(request: Request): Promise<Response> {
    const answer = await this.#answer(request);
    await discardUnread(request);
    return answer;
  }

  async #answer(request: Request): Promise<Response> {
    const url = new URL(request.url);
    switch (url.pathname) {
      case ScriptPath.MCP:
        return this.#relay(request, url.pathname + url.search);
      case ScriptPath.CALL:
        return this.#call(request);
      case ScriptPath.DECIDE:
        return this.#relay(request, ScriptPath.DECIDE);
      case ScriptPath.LINK:
        // app.ts has checked that the token may be right, so this is not a stranger.
        return this.#ownRequest(request);
      case ScriptPath.STATE:
        return Response.json(await this.#state());
      case ScriptPath.EVENTS:
        return this.#events(url.searchParams);
      case ScriptPath.LOG:
        return this.#moveLog(request);
      case ScriptPath.FORGET:
        return this.#forget(request);
      case ScriptPath.LIVE:
        return this.#watch(request);
      case ScriptPath.CLOSE:
        return this.#close(request);
      case ScriptPath.CREDENTIALS:
        return this.#change(request);
      default:
        return errorResponse({ code: "not_found", reason: "A machine answers at /mcp only." });
    }
  }

  override webSocketMessage(socket: WebSocket, message: string | ArrayBuffer): Promise<void> | undefined {
    return this.#link.message(socket, message);
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

  /** LinkListener: may this dial become the link? */
  refusalOf(shown: Shown): string | null {
    const refusal = this.#credentials.refusalOf(shown);
    if (refusal === null) return null;
    if (refusal !== "token_replaced") this.ctx.waitUntil(this.#credentials.refuse(shown.key, Date.now()));
    return refusalText(refusal);
  }

  /** LinkListener: a connector said hello. */
  online(stream: string, facts: Facts, replaced: boolean, shown: Shown): { epoch: number; acked: number } {
    if (!replaced) this.#endUnseen();
    const epoch = this.#record.begin(stream, boundedFacts(facts));
    this.#return.isBack();
    this.#note(replaced ? PresenceType.REPLACED : PresenceType.ONLINE, { epoch });
    this.ctx.waitUntil(this.#alarm.set("checkPresence", PRESENCE_CHECK_MS));
    this.ctx.waitUntil(this.#credentials.welcome(shown).then(() => this.#renew()));
    return { epoch, acked: this.#log.acked(stream) };
  }

  /** LinkListener: the link of `epoch` is gone. */
  offline(epoch: number, lastHeardMs: number): void {
    if (this.#record.end(epoch, lastHeardMs)) this.#note(PresenceType.OFFLINE, { epoch });
  }

  /** LinkListener: a connector was refused because its protocol is too old. */
  tooOld(protocol: number): void {
    this.#record.refuse(protocol);
  }

  /** LinkListener: the machine's facts changed. */
  facts(facts: Facts): void {
    this.#record.learn(boundedFacts(facts));
    this.#report();
  }

  /** LinkListener: the connector sent events. */
  events(frame: EventFrame): number {
    const acked = this.#log.store(this.#record.row.stream ?? "", frame);
    // The pieces of unfinished messages alone are worth no report while nobody watches.
    if (this.#log.hasUnpushed(this.#detail)) this.#report();
    return acked;
  }

  override alarm(): Promise<void> {
    return this.#alarm.fire((job, failures) => this.#run(job, failures));
  }

  /**
   * Every `PRESENCE_CHECK_MS` while there is a link: reports again that the machine is online, or notices that its link died silently.
   * Also trims the log by age.
   */
  async checkPresence(): Promise<void> {
    this.#log.trim(Date.now());
    if (!this.#link.isOnline) return this.#endUnseen();
    await this.#renew();
    this.#report();
    await this.#alarm.set("checkPresence", PRESENCE_CHECK_MS);
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
      link: this.#credentials.status(Date.now()),
    };
  }

  async #run(job: Job, failures: number): Promise<void> {
    switch (job) {
      case "report":
        // It failed before, or the script was stopped before it could send it.
        return this.#report(failures);
      case "checkPresence":
        return this.checkPresence();
    }
  }

  /**
   * Answers what the machine itself asks with its link token: its connector dials (the key is checked when the socket says
   * hello), or `codez status` asks how it is seen. A link that is bound to a key does not show its facts to the token alone.
   */
  async #ownRequest({ headers }: Request): Promise<Response> {
    const tokenHash = await this.#credentials.accepted(headers.get("authorization"), Date.now());
    if (tokenHash === null) return errorResponse({ code: "unauthorized" });
    if (headers.has("upgrade")) return this.#link.accept(tokenHash);
    await this.#credentials.fingerprint();
    const presence = this.presence();
    return Response.json(this.#credentials.record.key === null ? presence : { ...presence, facts: null });
  }

  /** Sends the connector a new token, if the one that it dialled with expires soon. */
  async #renew(): Promise<void> {
    const { shown } = this.#link;
    const token = shown === null ? null : await this.#credentials.renewal(shown, Date.now());
    if (token !== null) this.#link.renew(token);
  }

  async #change(request: Request): Promise<Response> {
    if (request.method === "GET") return Response.json(this.#credentials.record);
    const change = CredentialChange.safeParse(await jsonOf(request));
    if (!change.success) return errorResponse({ code: "invalid_request", reason: "not a change of credentials" });
    return Response.json(await this.#credentials.change(change.data, Date.now()));
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

  async #exchange(request: Request, path: string, body: Uint8Array | null): Promise<Response> {
    if (this.#return.isAwaited(Date.now()) && !this.#link.isOnline) await this.#return.wait(Date.now());
    return this.#link.exchange(
      request,
      path,
      body,
      () => this.#whyOffline(),
      (error: OperatorError) => closingWord(error, request.method, body),
    );
  }

  /**
   * Why there is no link: `agent_too_old` if a connector was refused for its protocol since the last link, else
   * `machine_offline`.
   */
  #whyOffline(): OperatorError {
    const { epoch, lastSeenMs, tooOld } = this.#record.row;
    const machine = this.env.NAME;
    // The registry may still show the machine as online, since somebody has just called it.
    if (!this.#reporter.hasTold(false, epoch)) this.#report();
    if (tooOld === undefined) return { code: "machine_offline", machine, lastSeenMs };
    const reason = `it speaks version ${tooOld} of the link protocol, and this Operator version ${PROTOCOL_VERSION}`;
    return { code: "agent_too_old", machine, reason };
  }

  /** The machine's presence, with its facts only when they have not been reported yet. */
  #reported(): ReportedPresence {
    const { facts, ...rest } = this.presence();
    const presence = { ...rest, identity: this.#credentials.record.identity };
    return this.#record.row.factsReported === true ? presence : { ...presence, facts };
  }

  #report(failures?: number): void {
    if (this.#record.row.reportsRefused !== true) this.#reporter.report(failures);
  }

  /** What is pushed: the pieces of unfinished messages only while somebody watches. */
  get #detail(): EventDetail {
    return Date.now() < this.#liveUntilMs ? "deltas" : "coarse";
  }

  #arrived(told: ReportedPresence, { wantsFacts, stored, liveMs }: Arrived): boolean {
    if (stored !== null) this.#log.markPushed(stored);
    if (liveMs > 0) this.#liveUntilMs = Date.now() + Math.min(liveMs, LIVE_MS);
    const lacksFacts = wantsFacts && told.facts === undefined;
    if (wantsFacts) this.#record.markFacts(false);
    else if (told.facts) this.#record.markReported(told.facts);
    this.ctx.waitUntil(this.#alarm.cancel("report"));
    this.ctx.waitUntil(this.#alarm.setNoLater("checkPresence", PRESENCE_CHECK_MS));
    return lacksFacts || this.#log.hasUnpushed(this.#detail);
  }

  async #forget(request: Request): Promise<Response> {
    const asked = ForgetRequest.safeParse(await jsonOf(request));
    if (!asked.success) return errorResponse({ code: "invalid_request", reason: "not a session" });
    this.#log.forget(asked.data.session);
    return new Response(null, { status: 204 });
  }

  async #watch(request: Request): Promise<Response> {
    const asked = LiveRequest.safeParse(await jsonOf(request));
    if (!asked.success) return errorResponse({ code: "invalid_request", reason: "not a time to watch" });
    this.#liveUntilMs = Date.now() + Math.min(asked.data.forMs, LIVE_MS);
    return new Response(null, { status: 204 });
  }

  async #state(): Promise<MachineState> {
    await this.#credentials.fingerprint();
    if (!this.#link.isOnline) this.#endUnseen();
    return { ...this.presence(), exchanges: this.#link.exchanges, sessions: this.#log.sessions() };
  }

  #events(query: URLSearchParams): Response {
    const after = LogPosition.safeParse({ epoch: query.get("epoch"), seq: Number(query.get("seq") ?? Number.NaN) });
    const detail = EventDetail.safeParse(query.get("detail")).data ?? "coarse";
    return Response.json(this.#log.page(after.success ? after.data : null, query.get("session"), detail));
  }

  async #moveLog(request: Request): Promise<Response> {
    if (request.method === "GET") {
      const query = new URL(request.url).searchParams;
      if (query.has("numbers")) return Response.json(this.#log.numbers());
      const after = Number(query.get("after") ?? 0);
      return Response.json(this.#log.copy(Number.isInteger(after) ? after : 0));
    }
    const moved = z.union([LogNumbers, z.array(LoggedEvent)]).safeParse(await jsonOf(request));
    if (!moved.success) return errorResponse({ code: "invalid_request", reason: "not a log" });
    if (Array.isArray(moved.data)) this.#log.take(moved.data);
    else this.#log.continue(moved.data);
    return new Response(null, { status: 204 });
  }

  async #close(request: Request): Promise<Response> {
    const asked = CloseRequest.safeParse(await jsonOf(request));
    if (!asked.success) return errorResponse({ code: "invalid_request", reason: "not a close" });
    const { code, reason } = asked.data;
    // Its connector dials the script of the new name within milliseconds. What that one reports has higher numbers, after which the owner's
    // object takes nothing of this script any more. A revoked token, in contrast, must stop working at once.
    if (code === CloseCode.RENAMED) await this.#reportAll();
    this.#link.close(
      code,
      reason,
      code === CloseCode.REVOKED ? { code: "machine_revoked", machine: this.env.NAME } : undefined,
    );
    await this.#reportAll();
    return new Response(null, { status: 204 });
  }

  /** Reports until the owner's object has all events. The script may be deleted next, and its connector would not send them again. */
  async #reportAll(): Promise<void> {
    try {
      for (let reports = 0; reports < MAX_LAST_REPORTS; reports += 1) if (!(await this.#reporter.send())) return;
    } catch (failure) {
      console.warn("report at a close failed", String(failure));
    }
  }

  /** Records the end of a link that ended together with the script (an upload, a crash), when nothing could record it. */
  #endUnseen(): void {
    const { epoch, connectedAtMs, lastSeenMs } = this.#record.row;
    if (connectedAtMs !== null) this.offline(epoch, lastSeenMs ?? connectedAtMs);
  }

  #note(type: string, data: Record<string, unknown>): void {
    this.#log.append([{ atMs: Date.now(), type, session: null, data }]);
    // Scheduled before it is sent: a script that is stopped while it gathers changes must still report them later.
    if (this.#record.row.reportsRefused !== true) this.ctx.waitUntil(this.#alarm.set("report", REPORT_AGAIN_S * 1000));
    this.#report();
  }
}

/** A body's JSON. Anything else becomes `null`, which no schema here accepts. */
function jsonOf(request: Request): Promise<unknown> {
  return request.json().catch(() => null);
}
