import type { Clock } from "../clock.ts";
import type { Answer } from "../target.ts";
import { Child, type ChildSpec, type Ended } from "./child.ts";
import { failureMessage } from "./failure-message.ts";
import { splice, type Span } from "./json-span.ts";
import { MessageAnswer } from "./message-answer.ts";
import type { PostBody } from "./post-body.ts";
import { lineOf, RpcMessage } from "./rpc-message.ts";

const SUBSCRIPTION_KEY = "io.modelcontextprotocol/subscriptionId";

/**
 * HTTP statuses that revision 2026-07-28 assigns to JSON-RPC errors of the protocol itself. All other errors are sent with
 * 200.
 */
const STATUSES: ReadonlyMap<string, number> = new Map([
  ["-32700", 400],
  ["-32600", 400],
  ["-32601", 404],
  ["-32020", 400],
  ["-32021", 400],
  ["-32022", 400],
]);

type Call = {
  readonly answer: MessageAnswer;
  /** As the client wrote them. */
  readonly id: string;
  readonly progressToken: string | null;
  readonly isSubscription: boolean;
};

/**
 * A server of MCP's revision 2026-07-28, which has no sessions, so one child serves all clients. Different clients use the same
 * request ids. Each id and progress token is therefore replaced by a unique one on the way in, and restored on the way out. No
 * other byte of a message is changed.
 */
export class ModernChild {
  readonly #machine: string;
  readonly #child: Child;
  readonly #ended: () => void;
  readonly #calls = new Map<string, Call>();
  #next = 1;
  readonly #clock: Clock;
  #usedMs: number;
  #isOver = false;

  /** @param adopt returns the child, which the probe that found out its revision has already started. */
  constructor(
    machine: string,
    clock: Clock,
    ended: () => void,
    adopt: (listener: ConstructorParameters<typeof Child>[1]) => Child,
  ) {
    this.#clock = clock;
    this.#usedMs = clock.nowMs();
    this.#machine = machine;
    this.#ended = ended;
    this.#child = adopt({ line: (line) => this.#receive(line), ended: (how) => this.#lose(how) });
  }

  static start(spec: ChildSpec, machine: string, clock: Clock, ended: () => void): ModernChild {
    return new ModernChild(machine, clock, ended, (listener) => new Child(spec, listener));
  }

  /** Since when the child has been idle, in milliseconds since 1970; `null` while it is in use. */
  get idleSinceMs(): number | null {
    return this.#calls.size > 0 ? null : this.#usedMs;
  }

  keepAlive(): void {
    for (const { answer } of this.#calls.values()) answer.keepAlive();
  }

  post({ bytes, messages: [message] }: PostBody, answer: Answer): void {
    this.#usedMs = this.#clock.nowMs();
    const id = message?.id ?? null;
    if (message === undefined || id === null || !message.isRequest) {
      this.#child.write(lineOf(bytes));
      answer.head(202, []);
      answer.end();
      return;
    }
    const ours = `${this.#next++}`;
    const token = message.span("params", "_meta", "progressToken");
    const edits = [message.span("id"), token].filter((span) => span !== null).map((span) => ({ span, text: ours }));
    const call: Call = {
      id,
      progressToken: message.raw(token ?? undefined),
      isSubscription: message.method === "subscriptions/listen",
      answer: new MessageAnswer(answer, [], (reason) => this.#cancel(ours, reason)),
    };
    this.#calls.set(ours, call);
    this.#child.write(lineOf(Buffer.from(splice(message.text, edits), "latin1")));
    if (call.isSubscription) call.answer.open();
  }

  end(why: string): Promise<void> {
    return this.#child.end(why);
  }

  /** In this revision a disconnect is a cancellation, and a server on stdio has to be told. */
  #cancel(ours: string, reason: string): void {
    if (!this.#calls.delete(ours)) return;
    this.#usedMs = this.#clock.nowMs();
    const params = { requestId: Number(ours), reason };
    this.#child.write(`${JSON.stringify({ jsonrpc: "2.0", method: "notifications/cancelled", params })}\n`);
  }

  #receive(line: Buffer): void {
    const message = RpcMessage.read(line);
    if (message === null) return; // log output of the server, which is dropped
    if (message.isResponse) return this.#respond(message);
    const owner = this.#ownerOf(message);
    if (owner !== null) owner.answer.send(restore(message, owner));
  }

  #respond(message: RpcMessage): void {
    const ours = message.id ?? "";
    const call = this.#calls.get(ours);
    if (call === undefined) return; // cancelled
    this.#calls.delete(ours);
    this.#usedMs = this.#clock.nowMs();
    const code = message.at("error", "code");
    call.answer.finish(restore(message, call), STATUSES.get(code ?? "") ?? 200);
  }

  /**
   * The call that a notification belongs to. Without a token it is the only call in progress, or none: it must never reach
   * another client.
   */
  #ownerOf(message: RpcMessage): Call | null {
    const ours = message.at("params", "progressToken") ?? message.at("params", "_meta", SUBSCRIPTION_KEY);
    if (ours !== null) return this.#calls.get(ours.replaceAll('"', "")) ?? null;
    const calls = [...this.#calls.values()].filter((call) => !call.isSubscription);
    return calls.length === 1 ? (calls[0] ?? null) : null;
  }

  #lose(ended: Ended): void {
    if (this.#isOver) return;
    this.#isOver = true;
    for (const { answer, id } of this.#calls.values()) answer.finish(failureMessage(this.#machine, ended, id), 502);
    this.#calls.clear();
    this.#ended();
  }
}

/** The message with the client's own id and token restored. */
function restore(message: RpcMessage, { id, progressToken }: Call): string {
  const edits: { span: Span; text: string }[] = [];
  const put = (span: Span | null, text: string | null): void => {
    if (span !== null && text !== null) edits.push({ span, text });
  };
  if (message.isResponse) put(message.span("id"), id);
  else put(message.span("params", "progressToken"), progressToken);
  put(message.span(message.isResponse ? "result" : "params", "_meta", SUBSCRIPTION_KEY), id);
  return splice(message.text, edits);
}
