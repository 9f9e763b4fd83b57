import { CloseCode } from "#protocol/close-code.ts";
import { type FromScript, PING, PONG } from "#protocol/control.ts";
import { HELLO_TIMEOUT_MS } from "#protocol/limits.ts";
import * as z from "zod/mini";
import { Caller } from "./dial-order.ts";

/** Marks the link's sockets among any others of the object. */
const TAG = "link";

/** What survives hibernation with a socket. `epoch` is `null` until `hello`; `caller` is absent when the hello did not say. */
const Attachment = z.object({ epoch: z.nullable(z.int()), acceptedMs: z.int(), caller: z.optional(Caller) });
type Attachment = z.infer<typeof Attachment>;

/** A socket that was the link, as it stood when it was lost. */
export type LostLink = { epoch: number | null; lastHeardMs: number };

/**
 * The machine's WebSockets over hibernation: which of them is the link, and when it was last heard of.
 *
 * There may be several at once: one that has not said hello yet, the link itself, and older ones that are closing.
 * At most one is `current`. All state that must outlive hibernation is in the sockets' attachments; the rest is
 * rebuilt from them when the object wakes.
 */
export class Sockets {
  readonly #ctx: DurableObjectState;
  /** Timers are cleared as soon as they can be: a pending one keeps the object from hibernating. */
  readonly #awaitsHello = new Map<WebSocket, ReturnType<typeof setTimeout>>();
  #current: WebSocket | null;
  #lastHeardMs = 0;

  constructor(ctx: DurableObjectState) {
    this.#ctx = ctx;
    // The runtime answers heartbeats by itself, without waking the object: an idle machine costs nothing.
    ctx.setWebSocketAutoResponse(new WebSocketRequestResponsePair(PING, PONG));
    // After hibernation the sockets are still there; the one that has an epoch is the link.
    this.#current = this.all().find((socket) => isOpen(socket) && this.epochOf(socket) !== null) ?? null;
  }

  /** The socket that is the link now. */
  get current(): WebSocket | null {
    return this.#current;
  }

  /** The epoch a socket was given when it became the link; `null` before its hello. */
  epochOf(socket: WebSocket): number | null {
    return attachmentOf(socket).epoch;
  }

  /** Whose dial a socket was; `undefined` when its hello did not say. */
  callerOf(socket: WebSocket): Caller | undefined {
    return attachmentOf(socket).caller;
  }

  /** Answers a machine's upgrade. The new socket must say hello within `HELLO_TIMEOUT_MS`. */
  accept(): Response {
    const { 0: client, 1: server } = new WebSocketPair();
    this.#ctx.acceptWebSocket(server, [TAG]);
    server.serializeAttachment({ epoch: null, acceptedMs: Date.now() } satisfies Attachment);
    this.#awaitsHello.set(
      server,
      setTimeout(() => server.close(CloseCode.SILENT, "no hello"), HELLO_TIMEOUT_MS),
    );
    return new Response(null, { status: 101, webSocket: client });
  }

  /** This socket said hello, or is gone: its hello timer ends. */
  stopAwaiting(socket: WebSocket): void {
    clearTimeout(this.#awaitsHello.get(socket) ?? null);
    this.#awaitsHello.delete(socket);
  }

  /** Makes a socket the link. Answers the sockets that were it before and are still open; closing them is the caller's. */
  promote(socket: WebSocket, epoch: number, caller: Caller | undefined): WebSocket[] {
    const older = this.all().filter((other) => other !== socket && isOpen(other) && this.epochOf(other) !== null);
    this.#current = socket;
    socket.serializeAttachment({ ...attachmentOf(socket), epoch, caller } satisfies Attachment);
    return older;
  }

  /** From now on there is no link. Answers what it was, or `null` if there was none. */
  lose(): LostLink | null {
    const socket = this.#current;
    if (socket === null) return null;
    const lost = { epoch: this.epochOf(socket), lastHeardMs: Date.now() - this.#silentMs(socket) };
    this.#current = null;
    return lost;
  }

  /** Something arrived on a socket just now. */
  heard(): void {
    this.#lastHeardMs = Date.now();
  }

  /** For how long nothing was heard of the link, a heartbeat that the runtime answered included; `null` without a link. */
  get currentSilentMs(): number | null {
    return this.#current === null ? null : this.#silentMs(this.#current);
  }

  /** Whether something was heard within `ms`, without asking the runtime for the last heartbeat: cheap, and may say no wrongly. */
  heardWithin(ms: number): boolean {
    return Date.now() - this.#lastHeardMs <= ms;
  }

  #silentMs(socket: WebSocket): number {
    const heartbeatMs = this.#ctx.getWebSocketAutoResponseTimestamp(socket)?.getTime() ?? 0;
    return Date.now() - Math.max(heartbeatMs, this.#lastHeardMs, attachmentOf(socket).acceptedMs);
  }

  /** Says goodbye on a socket and closes it. */
  dismiss(socket: WebSocket, code: CloseCode, reason: string): void {
    say(socket, { type: "goodbye", reason });
    socket.close(code, reason);
  }

  /** Every socket of the link, whatever its state. */
  all(): WebSocket[] {
    return this.#ctx.getWebSockets(TAG);
  }
}

/** Sends a control frame, unless the socket is closing: then nobody reads it. */
export function say(socket: WebSocket, frame: FromScript): void {
  if (isOpen(socket)) socket.send(JSON.stringify(frame));
}

function isOpen(socket: WebSocket): boolean {
  return socket.readyState === WebSocket.OPEN;
}

function attachmentOf(socket: WebSocket): Attachment {
  const parsed = Attachment.safeParse(socket.deserializeAttachment());
  return parsed.success ? parsed.data : { epoch: null, acceptedMs: 0 };
}
