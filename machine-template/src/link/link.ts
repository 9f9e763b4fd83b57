import { CloseCode } from "#protocol/close-code.ts";
import type { Dial, EventFrame, Facts, Hello } from "#protocol/control.ts";
import { FromConnector, parseControl, PING, PONG } from "#protocol/control.ts";
import { errorResponse, OperatorFailure, type OperatorError } from "#protocol/error.ts";
import { HeadTooLarge } from "#protocol/frame.ts";
import { LINK_SILENCE_MS, PROTOCOL_VERSION } from "#protocol/limits.ts";
import { isProof } from "#protocol/link-key.ts";
import type { Shown } from "./credentials.ts";
import { type Caller, isOlder } from "./dial-order.ts";
import type { ClosingWord } from "./exchange.ts";
import { Multiplexer } from "./multiplexer.ts";
import { isOpen, say, Sockets } from "./sockets.ts";

/**
 * After this script has told its connector that it is being replaced, it accepts no new link for this long. The connector dials
 * again within a second, but an upload takes one to four. Without the wait the old script would accept the dial, and the new
 * script would then drop the link a second time, with all the calls made in between. If the upload fails, the old script
 * stays in place and accepts links again after this time. The state is in memory only, so the new script accepts them
 * immediately.
 */
const REPLACEMENT_MS = 5_000;

/** What the link reports to the machine that it belongs to. */
export type LinkListener = {
  /** Whether a dial with this token and this proven key may become the link. Returns the reason of a refusal. */
  refusalOf(shown: Shown): string | null;
  /** A connector said hello. Returns the new epoch and the last event stored of its stream. */
  online(stream: string, facts: Facts, replaced: boolean, shown: Shown): { epoch: number; acked: number };
  offline(epoch: number, lastHeardMs: number): void;
  /** A connector was refused because it speaks this version of the protocol, which is older than the script's. */
  tooOld(protocol: number): void;
  facts(facts: Facts): void;
  /** Stores events. Returns the sequence number up to which the connector's events are stored. */
  events(frame: EventFrame): number;
};

/**
 * The link as the rest of the script sees it: an HTTP request goes in, a response comes out.
 *
 * Failure contract. `exchange` never hangs, never sends anything twice, and settles exactly once:
 *
 * - Before a byte is sent it may reject with the error from `whyOffline`, with `machine_busy`, or with `invalid_request` (the
 *   request's head is too large). The machine has then received nothing of the call.
 * - After the request was sent and before the answer's head arrives, it may reject with `link_lost`, `machine_revoked` or
 *   `machine_timeout`. Whether the machine carried the call out is then unknown.
 * - Any other rejection contains the connector's own reason why it could not serve the request.
 * - After the head, a body that cannot be completed, or that pauses for `RESPONSE_TIMEOUT_MS` while its reader waits, never ends as if it were complete. An event stream ends with the closing
 *   word that the caller supplied; any other body errors.
 * - Bodies have flow control in both directions: a response that is not read holds at most `WINDOW_BYTES`.
 */
type MachineLink = {
  /**
   * @param body the whole body, if it was read already. Otherwise the request's own body is streamed.
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
 * The machine's link: accepts sockets, greets the connector behind each, and relays exchanges. The newest hello becomes the link,
 * unless its dial is older than the current one's (`dial-order.ts`). Older sockets are then told and closed, and messages that
 * still arrive on them are ignored. The object can hibernate whenever no exchange is open.
 *
 * `Sockets` knows which socket is the link. `Multiplexer` assigns frames to exchanges. This class conducts the conversation:
 * hello, welcome, events, goodbye.
 */
export class Link implements MachineLink {
  readonly #machine: string;
  readonly #listener: LinkListener;
  readonly #sockets: Sockets;
  readonly #exchanges: Multiplexer;
  /** Sockets whose proof is being checked. */
  readonly #proving = new Set<WebSocket>();
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

  /**
   * Whether a connector is linked and has been heard from recently. As a side effect, a link that has fallen silent is closed.
   */
  get isOnline(): boolean {
    if (this.#sockets.current === null) return false;
    if (this.#sockets.heardWithin(LINK_SILENCE_MS)) return true; // the common case, without asking the runtime
    const heardMs = this.#sockets.currentHeardMs;
    if (heardMs !== null && Date.now() - heardMs <= LINK_SILENCE_MS) return true;
    this.close(CloseCode.SILENT, "no heartbeat");
    return false;
  }

  /** When the current link was last heard from, in milliseconds since 1970; `null` without a link. */
  get lastHeardMs(): number | null {
    return this.#sockets.currentHeardMs;
  }

  /** The token and the key that the current link was opened with. */
  get shown(): Shown | null {
    return this.#sockets.shown;
  }

  /** Sends the connector a new token. */
  renew(token: string): void {
    if (this.#sockets.current !== null) say(this.#sockets.current, { type: "token", token });
  }

  /**
   * Accepts the WebSocket upgrade of a connector whose token is valid. The socket becomes the link only when it says hello, with
   * a proof of its key if the link is bound to one.
   */
  accept(tokenHash: string): Response {
    if (Date.now() < this.#replacedUntilMs)
      return errorResponse({ code: "machine_offline", machine: this.#machine, lastSeenMs: null });
    return this.#sockets.accept(tokenHash);
  }

  async exchange(
    request: Request,
    path: string,
    body: Uint8Array | null,
    whyOffline: () => OperatorError,
    closingWord: ClosingWord,
  ): Promise<Response> {
    // While it waited for the link to return: nobody is told of that by an event any more.
    if (request.signal.aborted) throw new Error("the caller went away");
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

  /**
   * Handles a WebSocket message, text or binary. A peer that violates the protocol is closed with BAD_FRAME. Only a hello with a
   * proof takes time to check; everything else, calls above all, is handled at once.
   */
  message(socket: WebSocket, message: string | ArrayBuffer): Promise<void> | undefined {
    const isCurrent = socket === this.#sockets.current;
    if (!isCurrent && this.#sockets.epochOf(socket) !== null) return undefined; // a late message from a replaced link
    // Another socket, of whoever has the token, says nothing about whether the link is alive.
    if (isCurrent) this.#sockets.heard();
    const understood =
      typeof message === "string"
        ? this.#control(socket, message)
        : isCurrent && this.#exchanges.receive(new Uint8Array(message));
    if (understood === false) this.#drop(socket, CloseCode.BAD_FRAME, "not a frame of this protocol");
    return understood instanceof Promise ? understood : undefined;
  }

  /** Handles the end of a socket, whichever side closed it. */
  closed(socket: WebSocket): void {
    this.#sockets.stopAwaiting(socket);
    if (socket === this.#sockets.current) return this.#lose({ code: "link_lost", machine: this.#machine });
    // A script that hibernates is woken by the end of its socket. That is not open any more then, so it did not become the current link. The
    // listener knows by the epoch whether it was the link.
    const epoch = this.#sockets.epochOf(socket);
    if (epoch !== null) this.#listener.offline(epoch, this.#sockets.heardMs(socket));
  }

  /** Closes the link on purpose. Exchanges in progress fail with `error`. */
  close(code: CloseCode, reason: string, error: OperatorError = { code: "link_lost", machine: this.#machine }): void {
    if (code === CloseCode.RESTARTING) this.#replacedUntilMs = Date.now() + REPLACEMENT_MS;
    for (const socket of this.#sockets.all()) {
      if (socket === this.#sockets.current) this.#lose(error);
      this.#sockets.dismiss(socket, code, reason);
    }
  }

  /** Returns `false` for what is not a frame; a promise while a proof is being checked. */
  #control(socket: WebSocket, text: string): boolean | Promise<void> {
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

  /** Answers a connector's hello. Returns `false` if the socket is the link already, or another hello of it is being checked. */
  #greet(socket: WebSocket, hello: Hello): boolean | Promise<void> {
    const { protocol, key, proof } = hello;
    if (protocol !== PROTOCOL_VERSION) {
      if (protocol < PROTOCOL_VERSION) this.#listener.tooOld(protocol);
      const reason = `this Operator speaks protocol ${PROTOCOL_VERSION}, the connector ${protocol}`;
      this.#drop(socket, CloseCode.PROTOCOL_TOO_OLD, reason);
      return true;
    }
    if (socket === this.#sockets.current || this.#proving.has(socket)) return false;
    const challenge = this.#sockets.challengeOf(socket);
    if (challenge === null) {
      // The socket was accepted by the version of this script before the upload. Its connector dials again.
      this.#drop(socket, CloseCode.RESTARTING, "this machine's script was replaced");
      return true;
    }
    if (key === undefined) {
      this.#admit(socket, hello, { tokenHash: challenge.tokenHash, key: null });
      return true;
    }
    if (hello.dial === undefined) return false; // a connector with a key numbers its dials
    if (proof === undefined) {
      say(socket, { type: "challenge", nonce: challenge.nonce });
      return true;
    }
    return this.#prove(socket, { ...hello, key, proof, dial: hello.dial }, challenge);
  }

  /** Checks the proof in a hello. Another socket may say hello meanwhile; the order of dials is decided afterwards. */
  async #prove(
    socket: WebSocket,
    hello: Hello & { key: string; proof: string; dial: Dial },
    challenge: { nonce: string; tokenHash: string },
  ): Promise<void> {
    const { key, proof, stream, dial } = hello;
    this.#proving.add(socket);
    try {
      const isProven = await isProof(proof, key, { ...challenge, stream, dial });
      if (!isOpen(socket)) return;
      if (isProven) this.#admit(socket, hello, { tokenHash: challenge.tokenHash, key });
      else this.#drop(socket, CloseCode.BAD_FRAME, "the proof of the link key is wrong");
    } finally {
      this.#proving.delete(socket);
    }
  }

  /** Makes `socket`, on which a connector said hello, the link, unless its credentials or its order forbid it. */
  #admit(socket: WebSocket, { stream, dial, facts }: Hello, shown: Shown): void {
    const refusal = this.#listener.refusalOf(shown);
    if (refusal !== null) return this.#drop(socket, CloseCode.REVOKED, refusal);
    const caller = dial === undefined ? undefined : { stream, dial };
    const current = this.#sockets.current;
    if (current !== null && isOlder(caller, this.#sockets.callerOf(current)))
      return this.#drop(socket, CloseCode.SUPERSEDED, "a newer dial of this connector came first");
    const replaced = current !== null;
    // Exchanges do not move to the new link, because its connector knows nothing about them.
    this.#exchanges.settleAll({ code: "link_lost", machine: this.#machine });
    const { epoch, acked } = this.#listener.online(stream, facts, replaced, shown);
    const older = this.#sockets.promote(socket, epoch, caller, shown.key);
    for (const other of older) this.#takeOver(other, caller);
    say(socket, { type: "welcome", protocol: PROTOCOL_VERSION, epoch, acked });
  }

  /** Closes the socket that was the link before. Only a different connector is told REPLACED, which is final. */
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
