import { CloseCode } from "#protocol/close-code.ts";
import { type FromScript, PING, PONG } from "#protocol/control.ts";
import { HELLO_TIMEOUT_MS } from "#protocol/limits.ts";
import * as z from "zod/mini";
import { randomSecret } from "#protocol/bytes.ts";
import { CHALLENGE_HEADER } from "#protocol/link-key.ts";
import type { Shown } from "./credentials.ts";
import { Caller } from "./dial-order.ts";

/** Tag that distinguishes the link's sockets from any others of the object. */
const TAG = "link";

/**
 * State that is stored with a socket over hibernation. `epoch` is `null` until `hello`; `caller` is absent when the hello has
 * no `dial`.
 */
const Attachment = z.object({
  epoch: z.nullable(z.int()),
  acceptedMs: z.int(),
  caller: z.optional(Caller),
  /** The challenge that a proof on this socket must be made for, and the token that the socket was opened with. */
  nonce: z.optional(z.string()),
  tokenHash: z.optional(z.string()),
  /** The key that was proven, if there was one. */
  key: z.optional(z.nullable(z.string())),
});
type Attachment = z.infer<typeof Attachment>;

/** The link's state at the moment when it was lost. */
export type LostLink = { epoch: number | null; lastHeardMs: number };

/**
 * The machine's WebSockets across hibernation: which of them is the link, and when it was last heard from.
 *
 * There may be several sockets at once: one that has not said hello yet, the link itself, and older ones that are closing. At
 * most one of them is `current`. When the object hibernates, everything in memory is lost while the sockets stay open. State
 * that has to survive is therefore kept in the sockets' attachments, and the rest is rebuilt from those when the object wakes.
 */
export class Sockets {
  readonly #ctx: DurableObjectState;
  /**
   * Timers of sockets that have not become the link. They are cleared as early as possible, because a pending timer prevents
   * hibernation; but not before, because what a hello changes may fail to be stored.
   */
  readonly #awaitsHello = new Map<WebSocket, ReturnType<typeof setTimeout>>();
  #current: WebSocket | null;
  #lastHeardMs = 0;

  constructor(ctx: DurableObjectState) {
    this.#ctx = ctx;
    // The runtime answers heartbeats without waking the object, so an idle machine costs nothing.
    ctx.setWebSocketAutoResponse(new WebSocketRequestResponsePair(PING, PONG));
    // After hibernation the sockets are still open. The one with an epoch is the link, and of several the last one: a connector that was
    // replaced may never close its end.
    const greeted = this.all().filter((socket) => isOpen(socket) && this.epochOf(socket) !== null);
    this.#current = greeted.toSorted((one, other) => (this.epochOf(other) ?? 0) - (this.epochOf(one) ?? 0))[0] ?? null;
  }

  /** The socket that is the link now. */
  get current(): WebSocket | null {
    return this.#current;
  }

  /** The epoch that a socket got when it became the link; `null` before its hello. */
  epochOf(socket: WebSocket): number | null {
    return attachmentOf(socket).epoch;
  }

  /** The dial that a socket belongs to; `undefined` when its hello did not say. */
  callerOf(socket: WebSocket): Caller | undefined {
    return attachmentOf(socket).caller;
  }

  /** The challenge of a socket, and the token that it was opened with; `null` for a socket from before there were any. */
  challengeOf(socket: WebSocket): { nonce: string; tokenHash: string } | null {
    const { nonce, tokenHash } = attachmentOf(socket);
    return nonce === undefined || tokenHash === undefined ? null : { nonce, tokenHash };
  }

  /** The token and the key with which the link was opened; `null` without a link, or for one from before there were keys. */
  get shown(): Shown | null {
    const { tokenHash, key } = this.#current === null ? {} : attachmentOf(this.#current);
    return tokenHash === undefined || key === undefined ? null : { tokenHash, key };
  }

  /**
   * Answers a connector's WebSocket upgrade. The new socket must say hello within `HELLO_TIMEOUT_MS`.
   * @param tokenHash the token that it showed.
   */
  accept(tokenHash: string): Response {
    const { 0: client, 1: server } = new WebSocketPair();
    this.#ctx.acceptWebSocket(server, [TAG]);
    const nonce = randomSecret();
    server.serializeAttachment({ epoch: null, acceptedMs: Date.now(), nonce, tokenHash } satisfies Attachment);
    this.#awaitsHello.set(
      server,
      setTimeout(() => server.close(CloseCode.SILENT, "no hello"), HELLO_TIMEOUT_MS),
    );
    return new Response(null, { status: 101, webSocket: client, headers: { [CHALLENGE_HEADER]: nonce } });
  }

  /** Clears the timer of a socket that has become the link or is gone. */
  stopAwaiting(socket: WebSocket): void {
    clearTimeout(this.#awaitsHello.get(socket) ?? null);
    this.#awaitsHello.delete(socket);
  }

  /** Makes a socket the link. Returns the earlier ones that are still open, which the caller has to close. */
  promote(socket: WebSocket, epoch: number, caller: Caller | undefined, key: string | null): WebSocket[] {
    const older = this.all().filter((other) => other !== socket && isOpen(other) && this.epochOf(other) !== null);
    this.stopAwaiting(socket);
    this.#current = socket;
    this.heard();
    socket.serializeAttachment({ ...attachmentOf(socket), epoch, caller, key } satisfies Attachment);
    return older;
  }

  /** Ends the link. Returns its last state, or `null` if there was no link. */
  lose(): LostLink | null {
    const socket = this.#current;
    if (socket === null) return null;
    const lost = { epoch: this.epochOf(socket), lastHeardMs: this.heardMs(socket) };
    this.#current = null;
    return lost;
  }

  /** Notes that something arrived on the link just now. */
  heard(): void {
    this.#lastHeardMs = Date.now();
  }

  /** When the link was last heard from, in milliseconds since 1970; `null` without a link. A heartbeat that the runtime answered counts. */
  get currentHeardMs(): number | null {
    return this.#current === null ? null : this.heardMs(this.#current);
  }

  /**
   * Whether something was heard within the last `ms`, without asking the runtime for the last heartbeat. Cheap; may wrongly
   * say no.
   */
  heardWithin(ms: number): boolean {
    return Date.now() - this.#lastHeardMs <= ms;
  }

  /** When a socket was last heard from, in milliseconds since 1970. */
  heardMs(socket: WebSocket): number {
    const heartbeatMs = this.#ctx.getWebSocketAutoResponseTimestamp(socket)?.getTime() ?? 0;
    return Math.max(heartbeatMs, this.#lastHeardMs, attachmentOf(socket).acceptedMs);
  }

  /** Says goodbye on a socket and closes it. */
  dismiss(socket: WebSocket, code: CloseCode, reason: string): void {
    this.stopAwaiting(socket);
    say(socket, { type: "goodbye", reason });
    socket.close(code, reason);
  }

  /** Every socket of the link, whatever its state. */
  all(): WebSocket[] {
    return this.#ctx.getWebSockets(TAG);
  }
}

/** Sends a control frame, unless the socket is closing and nobody would read it. */
export function say(socket: WebSocket, frame: FromScript): void {
  if (isOpen(socket)) socket.send(JSON.stringify(frame));
}

export function isOpen(socket: WebSocket): boolean {
  return socket.readyState === WebSocket.OPEN;
}

function attachmentOf(socket: WebSocket): Attachment {
  const parsed = Attachment.safeParse(socket.deserializeAttachment());
  return parsed.success ? parsed.data : { epoch: null, acceptedMs: 0 };
}
