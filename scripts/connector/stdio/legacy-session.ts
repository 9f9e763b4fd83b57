import { randomUUID } from "node:crypto";
import type { Clock } from "../clock.ts";
import type { Answer, TargetRequest } from "../target.ts";
import { answerError, answerJson } from "../target.ts";
import { Child, type ChildSpec, type Ended } from "./child.ts";
import { failureMessage } from "./failure-message.ts";
import { MessageAnswer } from "./message-answer.ts";
import type { Pending } from "./pending.ts";
import { headerOf, isArray, requestIds, type PostBody } from "./post-body.ts";
import { keyOf, lineOf, RpcMessage } from "./rpc-message.ts";

/** Limits for messages that wait for a stream to be sent on. A client that opens no stream never gets them. */
const MAX_WAITING = 1_000;
const MAX_WAITING_CHARACTERS = 4 * 1024 * 1024;

/**
 * Requests of one session that the child has not answered. Their clients may have left, and then they are not among the calls that a link
 * counts. A child that answers none must not fill the memory.
 */
const MAX_PENDING = 1_000;

const SESSION_HEADER = "mcp-session-id";

/**
 * One session of MCP's 2025 revisions: a child process of its own, offered as Streamable HTTP. The child's messages go only to that
 * session's client: a response to the request that it answers, progress to the request that asked for it, and everything else
 * on the stream of a request in progress or on the GET stream.
 */
export class LegacySession {
  readonly id = randomUUID();
  readonly #machine: string;
  readonly #child: Child;
  readonly #ended: () => void;
  readonly #pending = new Set<Pending>();
  readonly #progress = new Map<string, Pending>();
  #waiting: string[] = [];
  #waitingCharacters = 0;
  #stream: MessageAnswer | null = null;
  readonly #clock: Clock;
  #usedMs: number;
  #isOver = false;

  /** @param ended called once, when the child is gone and the session with it. */
  constructor(spec: ChildSpec, machine: string, clock: Clock, ended: () => void) {
    this.#clock = clock;
    this.#usedMs = clock.nowMs();
    this.#machine = machine;
    this.#ended = ended;
    this.#child = new Child(spec, { line: (line) => this.#receive(line), ended: (how) => this.#lose(how) });
  }

  /** Since when the session has been idle, in milliseconds since 1970; `null` while it is in use. */
  get idleSinceMs(): number | null {
    return this.#stream !== null || this.isAwaited ? null : this.#usedMs;
  }

  /** Whether a client waits for an answer. A call whose client has disconnected continues, but nobody waits for it. */
  get isAwaited(): boolean {
    return [...this.#pending].some(({ answer }) => !answer.isOver);
  }

  /** How likely a client still needs the session. The session with the lowest value is ended first when another needs room. */
  get worth(): { readonly rank: number; readonly usedMs: number } {
    // An open stream may be left over from a client that is gone, so it proves less than a call in progress.
    return { rank: (this.#stream === null ? 0 : 1) + (this.#pending.size === 0 ? 0 : 2), usedMs: this.#usedMs };
  }

  keepAlive(): void {
    this.#stream?.keepAlive();
    for (const { answer } of this.#pending) answer.keepAlive();
  }

  post(body: PostBody, request: TargetRequest, answer: Answer): void {
    this.#usedMs = this.#clock.nowMs();
    const ids = requestIds(body.messages);
    if (ids.size === 0) {
      for (const message of body.messages) this.#cancelled(message);
      this.#child.write(lineOf(body.bytes));
      answer.head(202, []);
      answer.end();
      return;
    }
    if (this.#pending.size >= MAX_PENDING) {
      const busy = { code: "machine_busy", machine: this.#machine, limit: MAX_PENDING, counts: "calls" } as const;
      return answerError(answer, busy, body.bytes);
    }
    const isOpening = body.messages.some((message) => message.method === "initialize");
    const pending: Pending = {
      // In the 2025 revisions a disconnect is not a cancellation. The child continues, and its response is dropped.
      answer: new MessageAnswer(answer, isOpening ? [[SESSION_HEADER, this.id]] : [], () => {
        this.#usedMs = this.#clock.nowMs();
      }),
      ids,
      isBatch: body.isBatch,
      streams: headerOf(request.headers, "accept")?.includes("text/event-stream") ?? false,
    };
    this.#pending.add(pending);
    for (const message of body.messages) {
      const token = message.isRequest ? message.at("params", "_meta", "progressToken") : null;
      if (token !== null) this.#progress.set(keyOf(token), pending);
    }
    this.#child.write(lineOf(body.bytes));
  }

  /** Opens the stream for messages that belong to no request. There is at most one. */
  listen(answer: Answer): void {
    if (this.#stream !== null) {
      answerJson(answer, 409, {
        jsonrpc: "2.0",
        id: null,
        error: { code: -32_000, message: "Conflict: this session has an event stream already" },
      });
      return;
    }
    const stream = new MessageAnswer(answer, [], () => {
      if (this.#stream === stream) this.#stream = null;
      this.#usedMs = this.#clock.nowMs();
    });
    this.#stream = stream;
    stream.open();
    this.#waitingCharacters = 0;
    for (const message of this.#waiting.splice(0)) stream.send(message);
  }

  /** Ends the session and its child. */
  end(why: string): Promise<void> {
    return this.#child.end(why);
  }

  #receive(line: Buffer): void {
    const message = RpcMessage.read(line);
    if (message === null) return this.#receiveArray(line);
    if (message.isResponse) return this.#respond(message);
    const token = message.method === "notifications/progress" ? message.at("params", "progressToken") : null;
    const owner = token === null ? this.#anyStream() : this.#progress.get(keyOf(token));
    if (owner?.streams === true && !owner.answer.isOver) owner.answer.send(message.text);
    else if (this.#stream !== null) this.#stream.send(message.text);
    else if (token === null) this.#keep(message.text);
  }

  #keep(message: string): void {
    if (this.#waiting.length >= MAX_WAITING || this.#waitingCharacters + message.length > MAX_WAITING_CHARACTERS)
      return;
    this.#waiting.push(message);
    this.#waitingCharacters += message.length;
  }

  /**
   * Handles an array of messages, with which a batch may be answered. Other lines that are not messages (log output) are
   * dropped.
   */
  #receiveArray(line: Buffer): void {
    const text = line.toString("latin1");
    const batch = [...this.#pending].find((pending) => pending.isBatch);
    if (!isArray(text) || batch === undefined) return;
    batch.ids.clear();
    batch.answer.finish(text);
    this.#settle(batch);
  }

  #respond(message: RpcMessage): void {
    const { id } = message;
    if (id === null) return;
    const key = keyOf(id);
    const pending = [...this.#pending].find((one) => one.ids.has(key));
    if (pending === undefined) return; // the request was cancelled, or never existed
    pending.ids.delete(key);
    if (pending.isBatch) pending.answer.send(message.text);
    else pending.answer.finish(message.text);
    if (pending.ids.size > 0) return;
    if (pending.isBatch) pending.answer.end();
    this.#settle(pending);
  }

  /** The most recent request in progress whose client accepts event streams. */
  #anyStream(): Pending | undefined {
    return [...this.#pending].findLast((pending) => pending.streams && !pending.answer.isOver);
  }

  /** A cancelled request gets no response (2025 revisions), so its stream ends here. */
  #cancelled(message: RpcMessage): void {
    const id = message.method === "notifications/cancelled" ? message.at("params", "requestId") : null;
    if (id === null) return;
    const pending = [...this.#pending].find((one) => one.ids.has(keyOf(id)));
    if (pending === undefined) return;
    pending.ids.delete(keyOf(id));
    if (pending.ids.size > 0) return;
    pending.answer.end();
    this.#settle(pending);
  }

  #settle(pending: Pending): void {
    this.#pending.delete(pending);
    for (const [token, owner] of this.#progress) if (owner === pending) this.#progress.delete(token);
    this.#usedMs = this.#clock.nowMs();
  }

  #lose(ended: Ended): void {
    if (this.#isOver) return;
    this.#isOver = true;
    for (const { answer, ids } of this.#pending) {
      const errors = [...ids.values()].map((id) => failureMessage(this.#machine, ended, id));
      const last = errors.pop();
      for (const error of errors) answer.send(error);
      if (last !== undefined) answer.finish(last, 502);
    }
    this.#pending.clear();
    this.#stream?.end();
    this.#stream = null;
    this.#ended();
  }
}
