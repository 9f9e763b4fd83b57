import { CloseCode } from "#protocol/close-code.ts";
import type { EventFrame, Facts, Hello } from "#protocol/control.ts";
import { FromConnector, parseControl, PING, PONG } from "#protocol/control.ts";
import { errorResponse, OperatorFailure, type OperatorError } from "#protocol/error.ts";
import { HeadTooLarge } from "#protocol/frame.ts";
import { LINK_SILENCE_MS, PROTOCOL_VERSION } from "#protocol/limits.ts";
import { type Caller, isOlder } from "./dial-order.ts";
import type { ClosingWord } from "./exchange.ts";
import { Multiplexer } from "./multiplexer.ts";
import { say, Sockets } from "./sockets.ts";

/**
 * For so long after this script told its connector that it is being replaced it takes no new link. The connector dials
 * again within a second, and an upload takes one to four: without the wait it would be let in by the old script and dropped
 * a second time by the new one, with all the calls of that second. An upload that failed leaves the old script in place,
 * which takes links again after this. Kept in memory alone, so the new script takes them at once.
 */
const REPLACEMENT_MS = 5_000;

/** What the link tells the machine it belongs to. */
export type LinkListener = {
  /** A connector said hello. Answers the new epoch and the last event stored of its stream. */
  online(stream: string, facts: Facts, replaced: boolean): { epoch: number; acked: number };
  offline(epoch: number, lastHeardMs: number): void;
  /** A connector was refused: it speaks this version of the protocol, which is older than ours. */
  tooOld(protocol: number): void;
  facts(facts: Facts): void;
  /** Answers the connector's sequence up to which events are stored. */
  events(frame: EventFrame): number;
};

/**
 * The way to a machine, as everything above the link sees it: an HTTP request goes in, a response comes out.
 *
 * Failure contract. `exchange` never hangs, never sends anything twice, and settles exactly once:
 *
 * - It rejects with what `whyOffline` says or with `machine_busy` before a byte was sent, and with `invalid_request` when the
 *   request's head is too large to send: the machine has seen nothing of the call.
 * - It rejects with `link_lost`, `machine_revoked` or `machine_timeout` once the request was sent and no answer's head
 *   came: whether the machine carried the call out is unknown.
 * - Any other rejection carries the connector's own words for why it could not serve the request.
 * - After the head, a body that cannot be completed never ends cleanly. An event stream ends with the closing word
 *   that the caller supplied; any other body errors.
 * - Bodies have flow control in both directions: a response that is not read holds at most `WINDOW_BYTES`.
 */
export type MachineLink = {
  /**
   * @param body the whole body if it was read already; otherwise the request's own is streamed.
   * @param whyOffline the error when there is no link.
   */
  exchange(
    request: Request,
    path: string,
    body: Uint8Array | null,
    whyOffline: () => OperatorError,
    closingWord: ClosingWord,
  ): Promise<Response>;
};

/**
 * The machine's link: takes sockets, greets the connector behind them, and relays exchanges. The newest
 * hello wins, unless its dial is older than the link's (`dial-order.ts`): the sockets before it are told so and closed, and
 * a late word from them changes nothing. Hibernates when no exchange is open.
 *
 * Which socket is the link is `Sockets`' business, which frame belongs to which exchange `Multiplexer`'s; this class
 * holds the conversation: hello, welcome, events, goodbye.
 */
export class Link implements MachineLink {
  readonly #machine: string;
  readonly #listener: LinkListener;
  readonly #sockets: Sockets;
  readonly #exchanges: Multiplexer;
  #replacedUntilMs = 0;

  constructor(ctx: DurableObjectState, machine: string, listener: LinkListener) {
    this.#machine = machine;
    this.#listener = listener;
    this.#sockets = new Sockets(ctx);
    this.#exchanges = new Multiplexer(machine, {
      send: (frame) => this.#sockets.current?.send(frame),
      isAlive: () => this.isOnline,
    });
  }

  get exchanges(): number {
    return this.#exchanges.size;
  }

  /** Whether a connector is there and was heard of lately. One that was not is closed by asking. */
  get isOnline(): boolean {
    if (this.#sockets.current === null) return false;
    if (this.#sockets.heardWithin(LINK_SILENCE_MS)) return true; // the common case, without asking the runtime
    const silentMs = this.#sockets.currentSilentMs;
    if (silentMs !== null && silentMs <= LINK_SILENCE_MS) return true;
    this.close(CloseCode.SILENT, "no heartbeat");
    return false;
  }

  /** When the current link was last heard of; `null` without one. Milliseconds since 1970. */
  get lastHeardMs(): number | null {
    const silentMs = this.#sockets.currentSilentMs;
    return silentMs === null ? null : Date.now() - silentMs;
  }

  /** Takes a machine's upgrade whose token was found right. It is the link only once it says hello. */
  accept(): Response {
    if (Date.now() < this.#replacedUntilMs)
      return errorResponse({ code: "machine_offline", machine: this.#machine, lastSeenMs: null });
    return this.#sockets.accept();
  }

  async exchange(
    request: Request,
    path: string,
    body: Uint8Array | null,
    whyOffline: () => OperatorError,
    closingWord: ClosingWord,
  ): Promise<Response> {
    if (!this.isOnline) throw new OperatorFailure(whyOffline());
    const exchange = this.#exchanges.begin(closingWord);
    const abort = (): void => exchange.cancel(new Error("the caller went away"));
    request.signal.addEventListener("abort", abort, { once: true });
    exchange.open(request, path, body).catch((reason: unknown) => {
      if (reason instanceof HeadTooLarge) exchange.abandon({ code: "invalid_request", reason: reason.message });
      else exchange.cancel(new Error("the request's body broke off", { cause: reason }));
    });
    return exchange.response;
  }

  /** A WebSocket message came, text or binary. A peer that breaks the protocol is closed with BAD_FRAME. */
  message(socket: WebSocket, message: string | ArrayBuffer): void {
    const isCurrent = socket === this.#sockets.current;
    if (!isCurrent && this.#sockets.epochOf(socket) !== null) return; // a late word from a replaced link
    this.#sockets.heard();
    const understood =
      typeof message === "string"
        ? this.#control(socket, message)
        : isCurrent && this.#exchanges.receive(new Uint8Array(message));
    if (!understood) this.#drop(socket, CloseCode.BAD_FRAME, "not a frame of this protocol");
  }

  /** A socket is gone, no matter which side closed it. */
  closed(socket: WebSocket): void {
    this.#sockets.stopAwaiting(socket);
    if (socket === this.#sockets.current) this.#lose({ code: "link_lost", machine: this.#machine });
  }

  /** Closes the link on purpose; exchanges under way fail with `error`. */
  close(code: CloseCode, reason: string, error: OperatorError = { code: "link_lost", machine: this.#machine }): void {
    if (code === CloseCode.RESTARTING) this.#replacedUntilMs = Date.now() + REPLACEMENT_MS;
    for (const socket of this.#sockets.all()) {
      if (socket === this.#sockets.current) this.#lose(error);
      this.#sockets.dismiss(socket, code, reason);
    }
  }

  #control(socket: WebSocket, text: string): boolean {
    if (text === PING) {
      socket.send(PONG); // only where the runtime has no auto-response
      return true;
    }
    const frame = parseControl(FromConnector, text);
    if (frame === null) return false;
    if (frame.type === "hello") return this.#greet(socket, frame);
    if (socket !== this.#sockets.current) return false;
    switch (frame.type) {
      case "event":
        say(socket, { type: "event-ack", seq: this.#listener.events(frame) });
        return true;
      case "facts":
        this.#listener.facts(frame.facts);
        return true;
      case "goodbye":
        return true;
    }
  }

  /** A connector said hello on `socket`, which becomes the link. `false`: it was the link already. */
  #greet(socket: WebSocket, { protocol, stream, dial, facts }: Hello): boolean {
    if (protocol !== PROTOCOL_VERSION) {
      if (protocol < PROTOCOL_VERSION) this.#listener.tooOld(protocol);
      const reason = `this Operator speaks protocol ${PROTOCOL_VERSION}, the connector ${protocol}`;
      this.#drop(socket, CloseCode.PROTOCOL_TOO_OLD, reason);
      return true;
    }
    if (socket === this.#sockets.current) return false;
    this.#sockets.stopAwaiting(socket);
    const caller = dial === undefined ? undefined : { stream, dial };
    const current = this.#sockets.current;
    if (current !== null && isOlder(caller, this.#sockets.callerOf(current))) {
      this.#drop(socket, CloseCode.SUPERSEDED, "a newer dial of this connector came first");
      return true;
    }
    const replaced = current !== null;
    // No exchange moves to another link: the new connector knows nothing of it.
    this.#exchanges.settleAll({ code: "link_lost", machine: this.#machine });
    const { epoch, acked } = this.#listener.online(stream, facts, replaced);
    const older = this.#sockets.promote(socket, epoch, caller);
    for (const other of older) this.#takeOver(other, caller);
    say(socket, { type: "welcome", protocol: PROTOCOL_VERSION, epoch, acked });
    return true;
  }

  /** Closes a socket that was the link before `caller`'s. Only another connector is told that it was replaced, which is final. */
  #takeOver(older: WebSocket, caller: Caller | undefined): void {
    if (caller !== undefined && this.#sockets.callerOf(older)?.dial.connector === caller.dial.connector)
      this.#drop(older, CloseCode.SUPERSEDED, "a newer dial of this connector took over");
    else this.#drop(older, CloseCode.REPLACED, "a newer connector for this machine took over");
  }

  #drop(socket: WebSocket, code: CloseCode, reason: string): void {
    if (socket === this.#sockets.current) this.#lose({ code: "link_lost", machine: this.#machine });
    this.#sockets.dismiss(socket, code, reason);
  }

  #lose(error: OperatorError): void {
    const lost = this.#sockets.lose();
    if (lost === null) return;
    this.#exchanges.settleAll(error);
    if (lost.epoch !== null) this.#listener.offline(lost.epoch, lost.lastHeardMs);
  }
}
