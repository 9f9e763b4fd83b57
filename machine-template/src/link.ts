import { CloseCode } from "#protocol/close-code.ts";
import type { EventFrame, Facts, FromScript } from "#protocol/control.ts";
import { FromConnector, parseControl, PING, PONG } from "#protocol/control.ts";
import { OperatorFailure, type OperatorError } from "#protocol/error.ts";
import { decodeFrame, FrameKind, HeadTooLarge } from "#protocol/frame.ts";
import {
  HELLO_TIMEOUT_MS,
  LINK_SILENCE_MS,
  MAX_EXCHANGES,
  PROTOCOL_VERSION,
  RESPONSE_HEAD_TIMEOUT_MS,
} from "#protocol/limits.ts";
import * as z from "zod/mini";
import { Exchange } from "./exchange.ts";

/** How often open exchanges are looked over for a silent link and for answers that are overdue. Bounds how late either is noticed. */
const SWEEP_MS = 5_000;

/** Exchange ids are unsigned 32-bit on the wire. */
const LAST_EXCHANGE = 0xffff_ffff;

const TAG = "link";

/** What survives hibernation with a socket. `epoch` is `null` until `hello`. */
const Attachment = z.object({ epoch: z.nullable(z.int()), acceptedMs: z.int() });
type Attachment = z.infer<typeof Attachment>;

/** What the link tells the machine it belongs to. */
export type LinkListener = {
  /** A connector said hello. Answers the new epoch and the last event stored of its stream. */
  online(stream: string, facts: Facts, replaced: boolean): { epoch: number; acked: number };
  offline(epoch: number, lastHeardMs: number): void;
  facts(facts: Facts): void;
  /** Answers the connector's sequence up to which events are stored. */
  events(frame: EventFrame): number;
};

/**
 * The machine's WebSocket. Newest hello wins: the sockets before it are told so and closed, and a late word from
 * them changes nothing. Hibernates when no exchange is open.
 */
export class Link {
  readonly #ctx: DurableObjectState;
  readonly #machine: string;
  readonly #listener: LinkListener;
  readonly #exchanges = new Map<number, Exchange>();
  /** Timers are cleared as soon as they can be: a pending one keeps the object from hibernating. */
  readonly #awaitsHello = new Map<WebSocket, ReturnType<typeof setTimeout>>();
  #current: WebSocket | null;
  #nextExchange = 1;
  #lastHeardMs = 0;
  #sweep: ReturnType<typeof setInterval> | null = null;

  constructor(ctx: DurableObjectState, machine: string, listener: LinkListener) {
    this.#ctx = ctx;
    this.#machine = machine;
    this.#listener = listener;
    ctx.setWebSocketAutoResponse(new WebSocketRequestResponsePair(PING, PONG));
    // After hibernation the sockets are still there; the greeted one is the link.
    this.#current =
      ctx.getWebSockets(TAG).find((socket) => isOpen(socket) && attachmentOf(socket).epoch !== null) ?? null;
  }

  get exchanges(): number {
    return this.#exchanges.size;
  }

  /** Whether a connector is there and was heard of lately. */
  get isOnline(): boolean {
    if (this.#current === null) return false;
    if (Date.now() - this.#lastHeardMs <= LINK_SILENCE_MS) return true; // the common case, without asking the runtime
    if (this.#silentMs(this.#current) <= LINK_SILENCE_MS) return true;
    this.close(CloseCode.SILENT, "no heartbeat");
    return false;
  }

  /** When the current link was last heard of; `null` without one. Milliseconds since 1970. */
  get lastHeardMs(): number | null {
    return this.#current === null ? null : Date.now() - this.#silentMs(this.#current);
  }

  /** Takes a machine's upgrade whose token was found right. It is the link only once it says hello. */
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

  /**
   * Sends a request over the link and answers with the connector's response.
   * Throws `OperatorFailure`: machine_offline, machine_busy, machine_timeout, link_lost, invalid_request.
   *
   * @param body the whole body if it was read already; otherwise the request's own is streamed.
   * @param lastSeenMs for the error when the machine is offline.
   */
  async exchange(
    request: Request,
    path: string,
    body: Uint8Array | null,
    lastSeenMs: () => number | null,
    closingWord: (error: OperatorError) => Uint8Array | null,
  ): Promise<Response> {
    if (!this.isOnline)
      throw new OperatorFailure({ code: "machine_offline", machine: this.#machine, lastSeenMs: lastSeenMs() });
    if (this.#exchanges.size >= MAX_EXCHANGES)
      throw new OperatorFailure({ code: "machine_busy", machine: this.#machine, limit: MAX_EXCHANGES });
    const exchange = this.#begin(closingWord);
    const abort = (): void => exchange.cancel(new Error("the caller went away"));
    request.signal.addEventListener("abort", abort, { once: true });
    exchange.open(request, path, body).catch((reason: unknown) => {
      if (reason instanceof HeadTooLarge) exchange.abandon({ code: "invalid_request", reason: reason.message });
      else exchange.cancel(new Error("the request's body broke off", { cause: reason }));
    });
    return exchange.response;
  }

  message(socket: WebSocket, message: string | ArrayBuffer): void {
    if (socket !== this.#current && attachmentOf(socket).epoch !== null) return; // a late word from a replaced link
    this.#lastHeardMs = Date.now();
    const understood =
      typeof message === "string" ? this.#control(socket, message) : this.#frame(socket, new Uint8Array(message));
    if (!understood) this.#drop(socket, CloseCode.BAD_FRAME, "not a frame of this protocol");
  }

  /** A socket is gone, whoever closed it. */
  closed(socket: WebSocket): void {
    this.#stopAwaiting(socket);
    if (socket === this.#current) this.#lose({ code: "link_lost", machine: this.#machine });
  }

  /** Closes the link on purpose; exchanges under way fail with `error`. */
  close(code: CloseCode, reason: string, error: OperatorError = { code: "link_lost", machine: this.#machine }): void {
    for (const socket of this.#ctx.getWebSockets(TAG)) {
      if (socket === this.#current) this.#lose(error);
      say(socket, { type: "goodbye", reason });
      socket.close(code, reason);
    }
  }

  #begin(closingWord: (error: OperatorError) => Uint8Array | null): Exchange {
    const id = this.#nextExchange;
    this.#nextExchange = id === LAST_EXCHANGE ? 1 : id + 1;
    const link = {
      send: (frame: Uint8Array) => this.#current?.send(frame),
      done: (done: number) => {
        this.#exchanges.delete(done);
        if (this.#exchanges.size === 0) this.#stopSweep();
      },
    };
    const exchange = new Exchange(id, link, Date.now() + RESPONSE_HEAD_TIMEOUT_MS, closingWord);
    this.#exchanges.set(id, exchange);
    this.#sweep ??= setInterval(() => this.#lookOver(), SWEEP_MS);
    return exchange;
  }

  #control(socket: WebSocket, text: string): boolean {
    if (text === PING) {
      socket.send(PONG); // only where the runtime has no auto-response
      return true;
    }
    const frame = parseControl(FromConnector, text);
    if (frame === null) return false;
    if (frame.type === "hello") {
      if (frame.protocol !== PROTOCOL_VERSION) {
        this.#drop(
          socket,
          CloseCode.PROTOCOL_TOO_OLD,
          `this Operator speaks protocol ${PROTOCOL_VERSION}, the connector ${frame.protocol}`,
        );
        return true;
      }
      return this.#greet(socket, frame.stream, frame.facts);
    }
    if (socket !== this.#current) return false;
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

  #greet(socket: WebSocket, stream: string, facts: Facts): boolean {
    if (socket === this.#current) return false;
    this.#stopAwaiting(socket);
    const older = this.#ctx
      .getWebSockets(TAG)
      .filter((other) => other !== socket && isOpen(other) && attachmentOf(other).epoch !== null);
    const replaced = this.#current !== null;
    this.#settleAll({ code: "link_lost", machine: this.#machine });
    const { epoch, acked } = this.#listener.online(stream, facts, replaced);
    this.#current = socket;
    socket.serializeAttachment({ ...attachmentOf(socket), epoch } satisfies Attachment);
    for (const other of older) this.#drop(other, CloseCode.REPLACED, "a newer connector for this machine took over");
    say(socket, { type: "welcome", protocol: PROTOCOL_VERSION, epoch, acked });
    return true;
  }

  #frame(socket: WebSocket, bytes: Uint8Array): boolean {
    if (socket !== this.#current) return false;
    const frame = decodeFrame(bytes);
    if (frame === null || frame.kind === FrameKind.REQUEST) return false;
    // An unknown exchange was cancelled while this frame was on its way: that is no fault.
    return this.#exchanges.get(frame.exchange)?.receive(frame) ?? true;
  }

  #drop(socket: WebSocket, code: CloseCode, reason: string): void {
    if (socket === this.#current) this.#lose({ code: "link_lost", machine: this.#machine });
    say(socket, { type: "goodbye", reason });
    socket.close(code, reason);
  }

  #lose(error: OperatorError): void {
    const socket = this.#current;
    if (socket === null) return;
    const { epoch } = attachmentOf(socket);
    const lastHeardMs = Date.now() - this.#silentMs(socket);
    this.#current = null;
    this.#settleAll(error);
    if (epoch !== null) this.#listener.offline(epoch, lastHeardMs);
  }

  #settleAll(error: OperatorError): void {
    for (const exchange of this.#exchanges.values()) exchange.abandon(error);
    this.#stopSweep();
  }

  #lookOver(): void {
    const now = Date.now();
    for (const exchange of this.#exchanges.values()) {
      if (!exchange.awaitsHead || exchange.deadlineMs > now) continue;
      exchange.cancel(
        new OperatorFailure({ code: "machine_timeout", machine: this.#machine, afterMs: RESPONSE_HEAD_TIMEOUT_MS }),
      );
    }
    if (!this.isOnline) this.#stopSweep();
  }

  #stopAwaiting(socket: WebSocket): void {
    clearTimeout(this.#awaitsHello.get(socket) ?? null);
    this.#awaitsHello.delete(socket);
  }

  #stopSweep(): void {
    if (this.#sweep !== null) clearInterval(this.#sweep);
    this.#sweep = null;
  }

  #silentMs(socket: WebSocket): number {
    const heartbeatMs = this.#ctx.getWebSocketAutoResponseTimestamp(socket)?.getTime() ?? 0;
    return Date.now() - Math.max(heartbeatMs, this.#lastHeardMs, attachmentOf(socket).acceptedMs);
  }
}

function say(socket: WebSocket, frame: FromScript): void {
  if (isOpen(socket)) socket.send(JSON.stringify(frame));
}

function isOpen(socket: WebSocket): boolean {
  return socket.readyState === WebSocket.OPEN;
}

function attachmentOf(socket: WebSocket): Attachment {
  const parsed = Attachment.safeParse(socket.deserializeAttachment());
  return parsed.success ? parsed.data : { epoch: null, acceptedMs: 0 };
}
