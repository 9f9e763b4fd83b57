import { CloseCode } from "#protocol/close-code.ts";
import { FromScript, parseControl, PING, PONG, type Dial, type Facts, type FromConnector } from "#protocol/control.ts";
import {
  HEARTBEAT_MS,
  HELLO_TIMEOUT_MS,
  LINK_SILENCE_MS,
  MAX_EXCHANGES,
  MAX_FRAME_BYTES,
  MAX_HEAD_BYTES,
  PROTOCOL_VERSION,
  WINDOW_BYTES,
} from "#protocol/limits.ts";
import { CHALLENGE_HEADER, Nonce, proofText } from "#protocol/link-key.ts";
import { isLinkToken } from "#protocol/link-token.ts";
import { createHash } from "node:crypto";
import type { Socket } from "node:net";
import { WebSocket } from "ws";
import type { Clock } from "./clock.ts";
import { type DialFailure, readRefusal, unreachable } from "./dial-refusal.ts";
import { EventSender, type Spool } from "./event-sender.ts";
import { Exchanges } from "./exchanges.ts";
import type { Target } from "./target.ts";

/** How long a socket may take to close. */
const CLOSE_TIMEOUT_MS = 1_000;

/** How a link ended. */
export type LinkEnd = DialFailure | { kind: "closed"; code: number; reason: string };

/**
 * What may wait for a script that does not read: all answers that it may be getting at once, of which no flow control delays the heads. A hostile
 * one can have more sent to it without end: it cancels each call, asks for what does not exist, or pings.
 */
const MAX_UNREAD_BYTES = MAX_EXCHANGES * (WINDOW_BYTES + MAX_HEAD_BYTES);

/** A new token counts only this long after the one before, so that a hostile Operator cannot keep the disk busy. */
const RENEWED_AGAIN_MS = 60_000;

/** The machine's key pair. The private key stays behind `sign`. */
export type LinkSigner = {
  /** 32 bytes, URL-safe Base64. */
  readonly publicKey: string;
  /** The Ed25519 signature of a text, URL-safe Base64. */
  sign(text: Uint8Array): string;
};

export type LinkOptions = {
  readonly url: string;
  readonly token: string;
  /** Proves that this is the machine, besides the token. `null` when the key cannot be read or made. */
  readonly key: LinkSigner | null;
  readonly facts: Facts;
  /** Identifies this dial, so that the script does not mistake a delayed one for a newer one. */
  readonly dial: Dial;
  readonly target: Target;
  /** Takes people's decisions; `null` if no program here does. */
  readonly decisions: Target | null;
  readonly spool: Spool;
  readonly clock: Clock;
  /** Called when the script says welcome. From then on this is the machine's link. */
  readonly onWelcome: (epoch: number) => void;
  /** Called with a token that replaces the present one. */
  readonly onToken: (token: string) => void;
};

/** One WebSocket to the machine's script, from the dial to its end. `ended` never rejects. */
export class Link {
  readonly ended: Promise<LinkEnd>;
  readonly #options: LinkOptions;
  readonly #socket: WebSocket;
  readonly #exchanges: Exchanges;
  readonly #events: EventSender;
  readonly #timers = new Map<string, () => void>();
  #end: (end: LinkEnd) => void;
  #lastHeardMs: number;
  /** The network socket below the WebSocket. */
  #stream: Socket | null = null;
  #welcomed = false;
  /** Facts that changed before the welcome. */
  #changed: Facts | null = null;
  /** The script's challenge, from the head of its answer or from a frame. */
  #nonce: string | null = null;
  #renewedMs = -Infinity;
  #closing: { code: number; reason: string } | null = null;

  constructor(options: LinkOptions) {
    this.#options = options;
    this.#lastHeardMs = options.clock.nowMs();
    let settle: (end: LinkEnd) => void = () => undefined;
    this.ended = new Promise((resolve) => {
      settle = resolve;
    });
    this.#end = settle;
    this.#exchanges = new Exchanges(options, (bytes) => this.#send(bytes));
    this.#events = new EventSender(options.spool, (frame) => this.#say(frame));
    this.#socket = new WebSocket(options.url, {
      headers: {
        authorization: `Bearer ${options.token}`,
        // Cloudflare's Browser Integrity Check, on by default, challenges requests without a User-Agent, and ws sends none by
        // itself.
        "user-agent": `codez/${options.facts.codez}`,
      },
      perMessageDeflate: false, // bodies are mostly small or already compressed, and compression would cost CPU on every call
      maxPayload: MAX_FRAME_BYTES,
      handshakeTimeout: HELLO_TIMEOUT_MS,
      followRedirects: false, // the token must not be sent to another address
    });
    this.#listen();
  }

  /** Ends the link on purpose, after sending what is queued. */
  close(code: number, reason: string): void {
    if (this.#closing !== null) return;
    this.#closing = { code, reason };
    if (this.#socket.readyState === WebSocket.OPEN) this.#say({ type: "goodbye", reason });
    this.#socket.close(code, reason);
    this.#schedule("close", CLOSE_TIMEOUT_MS, () => this.#socket.terminate());
  }

  /** Sends facts that have changed. During the dial they wait for the welcome: the hello has those of its beginning. */
  announce(facts: Facts): void {
    if (this.#welcomed) this.#say({ type: "facts", facts });
    else this.#changed = facts;
  }

  /** There are new events in the spool. */
  sendEvents(): void {
    if (this.#welcomed) this.#events.send();
  }

  #listen(): void {
    let refusal: LinkEnd | null = null;
    let wasOpen = false;
    this.#socket.on("unexpected-response", async (request, response) => {
      refusal = await readRefusal(response, this.#options.clock);
      request.destroy();
      this.#socket.terminate(); // the close event ends this link
    });
    this.#socket.on("error", (failure) => {
      // ws is closing by now, also when it was never open.
      if (!wasOpen && this.#closing === null) refusal ??= unreachable(failure.message);
      // Later errors (a cut cable, an invalid frame) are followed by a close event, which is handled.
    });
    this.#socket.on("upgrade", (response) => {
      this.#stream = response.socket;
      this.#nonce = Nonce.safeParse(response.headers[CHALLENGE_HEADER]).data ?? null;
    });
    this.#socket.on("open", () => {
      wasOpen = true;
      this.#open();
    });
    this.#socket.on("message", (message, isBinary) => this.#receive(message, isBinary));
    this.#socket.on("ping", () => this.#limitUnread()); // ws answers it by itself
    this.#socket.on("close", (code, reason) => {
      this.#release();
      const said = this.#closing ?? { code, reason: reason.toString() };
      this.#end(refusal ?? { kind: "closed", ...said });
    });
  }

  #open(): void {
    this.#lastHeardMs = this.#options.clock.nowMs();
    this.#hello();
    this.#schedule("welcome", HELLO_TIMEOUT_MS, () => this.close(CloseCode.SILENT, "no welcome"));
    this.#beat();
    this.#watch(LINK_SILENCE_MS);
  }

  /** Says hello, with the proof if the script has sent its challenge. */
  #hello(): void {
    const { dial, facts, spool, key, token } = this.#options;
    const { stream } = spool;
    const nonce = this.#nonce;
    const tokenHash = createHash("sha256").update(token).digest("hex");
    const proof =
      key === null || nonce === null ? {} : { proof: key.sign(proofText({ nonce, tokenHash, stream, dial })) };
    const bound = key === null ? {} : { key: key.publicKey, ...proof };
    this.#say({ type: "hello", protocol: PROTOCOL_VERSION, stream, dial, ...bound, facts });
  }

  #receive(message: WebSocket.RawData, isBinary: boolean): void {
    this.#lastHeardMs = this.#options.clock.nowMs();
    if (!(message instanceof Buffer) || this.#closing !== null) return; // with `nodebuffer` ws delivers nothing else
    const understood = isBinary
      ? this.#welcomed && this.#exchanges.receive(message)
      : this.#control(message.toString());
    if (!understood) this.close(CloseCode.BAD_FRAME, "not a frame of this protocol");
  }

  #control(text: string): boolean {
    if (text === PONG) return true;
    const frame = parseControl(FromScript, text);
    switch (frame?.type) {
      case "welcome":
        if (this.#welcomed) return false;
        this.#welcomed = true;
        this.#cancelTimer("welcome");
        this.#options.onWelcome(frame.epoch);
        if (this.#changed !== null) this.announce(this.#changed);
        this.#events.begin(frame.acked);
        return true;
      case "challenge":
        // Once for each dial: what was asked for twice is not needed for anything that a script does.
        if (this.#welcomed || this.#options.key === null || this.#nonce !== null) return false;
        this.#nonce = frame.nonce;
        this.#hello();
        return true;
      case "token":
        if (!this.#welcomed || !isLinkToken(frame.token)) return false;
        this.#renew(frame.token);
        return true;
      case "event-ack":
        return this.#events.acknowledge(frame.seq);
      case "goodbye":
        return true; // the close event that follows has a code, which is more specific
      case undefined:
        return false;
    }
  }

  #renew(token: string): void {
    const nowMs = this.#options.clock.nowMs();
    if (token === this.#options.token || nowMs - this.#renewedMs < RENEWED_AGAIN_MS) return;
    this.#renewedMs = nowMs;
    this.#options.onToken(token);
  }

  #beat(): void {
    this.#schedule("heartbeat", HEARTBEAT_MS, () => {
      this.#send(PING);
      this.#beat();
    });
  }

  /** Checks after `ms` whether the peer has been silent for too long. Needs no work per message. */
  #watch(ms: number): void {
    this.#schedule("silence", ms, () => {
      const leftMs = this.#lastHeardMs + LINK_SILENCE_MS - this.#options.clock.nowMs();
      if (leftMs > 0) return this.#watch(leftMs);
      this.#closing ??= { code: CloseCode.SILENT, reason: "no message from Operator" };
      this.#socket.terminate(); // a closing handshake with a dead peer would never finish
    });
  }

  #say(frame: FromConnector): void {
    this.#send(JSON.stringify(frame));
  }

  #send(message: string | Uint8Array): void {
    // A closing socket accepts nothing more. Its close event settles all exchanges.
    if (this.#socket.readyState !== WebSocket.OPEN) return;
    this.#gather();
    this.#socket.send(message);
    this.#limitUnread();
  }

  #limitUnread(): void {
    if (this.#socket.bufferedAmount <= MAX_UNREAD_BYTES) return;
    this.#closing ??= { code: CloseCode.SILENT, reason: `Operator left over ${MAX_UNREAD_BYTES} bytes unread` };
    this.#socket.terminate(); // a closing handshake would wait behind what is unread
  }

  /** Sends the messages of one turn of the event loop in one write, which under load saves a tenth of the CPU time. */
  #gather(): void {
    const stream = this.#stream;
    if (stream === null || stream.writableCorked > 0) return;
    stream.cork();
    setImmediate(() => stream.uncork());
  }

  #release(): void {
    for (const cancel of this.#timers.values()) cancel();
    this.#timers.clear();
    this.#exchanges.cancelAll("the link to Operator was lost");
  }

  #schedule(name: string, ms: number, act: () => void): void {
    this.#cancelTimer(name);
    this.#timers.set(name, this.#options.clock.after(ms, act));
  }

  #cancelTimer(name: string): void {
    this.#timers.get(name)?.();
    this.#timers.delete(name);
  }
}
