import { once } from "node:events";
import { createServer, type IncomingHttpHeaders, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { CloseCode } from "#protocol/close-code.ts";
import { FromConnector, parseControl, PING, PONG, type EventFrame, type Hello } from "#protocol/control.ts";
import { ERROR_HEADER } from "#protocol/error.ts";
import {
  decodeFrame,
  encodeFrame,
  FrameKind,
  type Frame,
  type RequestHead,
  type ResponseHead,
} from "#protocol/frame.ts";
import { CHALLENGE_HEADER } from "#protocol/link-key.ts";
import { PROTOCOL_VERSION, WINDOW_STEP_BYTES } from "#protocol/limits.ts";
import { WebSocket, WebSocketServer } from "ws";

/** The script's side of one link, held by a test: every frame is seen, and every frame is the test's own. */
export class StandInLink {
  readonly hello: Hello;
  readonly socket: WebSocket;
  readonly frames: Exclude<Frame, { kind: typeof FrameKind.REQUEST }>[] = [];
  readonly events: EventFrame[] = [];
  readonly texts: string[] = [];
  readonly closed: Promise<{ code: number; reason: string }>;
  /** Whether event frames are acknowledged as they arrive. */
  acknowledges = true;
  #next = 1;
  #seen: (() => void)[] = [];

  constructor(socket: WebSocket, hello: Hello) {
    this.socket = socket;
    this.hello = hello;
    this.closed = new Promise((resolve) => {
      socket.on("close", (code, reason) => {
        resolve({ code, reason: reason.toString() });
        this.#wake();
      });
    });
  }

  say(frame: unknown): void {
    this.socket.send(JSON.stringify(frame));
  }

  send(frame: Frame): void {
    this.socket.send(encodeFrame(frame));
  }

  /** Opens an exchange; answers its number. */
  open(head: Partial<RequestHead> = {}, body: string | Uint8Array = "", end = true): number {
    const exchange = this.#next++;
    const full = { method: "POST", path: "/mcp", headers: [], ...head } satisfies RequestHead;
    this.send({ kind: FrameKind.REQUEST, exchange, end, head: full, body: Buffer.from(body) });
    return exchange;
  }

  /** A whole exchange, credit given back as the body comes. */
  async call(head: Partial<RequestHead> = {}, body: string | Uint8Array = ""): Promise<Answered> {
    return this.answerOf(this.open(head, body));
  }

  async answerOf(exchange: number): Promise<Answered> {
    const chunks: Uint8Array[] = [];
    let head: ResponseHead | null = null;
    let unreturned = 0;
    for await (const frame of this.framesOf(exchange)) {
      if (frame.kind === FrameKind.CANCEL) throw new Error(`cancelled: ${frame.reason}`);
      if (frame.kind === FrameKind.WINDOW) continue;
      if (frame.kind === FrameKind.RESPONSE) head = frame.head;
      chunks.push(frame.body);
      unreturned += frame.body.length;
      if (frame.end) break;
      if (unreturned < WINDOW_STEP_BYTES) continue;
      this.send({ kind: FrameKind.WINDOW, exchange, credit: unreturned });
      unreturned = 0;
    }
    if (head === null) throw new Error("no head came");
    const body = Buffer.concat(chunks);
    return {
      status: head.status,
      headers: new Headers(head.headers),
      body,
      text: body.toString(),
      frames: chunks.length,
    };
  }

  /** The frames of one exchange, those that came and those that will; throws when the link is cut. */
  async *framesOf(exchange: number): AsyncGenerator<StandInLink["frames"][number]> {
    for (let index = 0; ; index += 1) {
      const frame = await this.#frameAt(index);
      if (frame.exchange === exchange) yield frame;
    }
  }

  /** Waits until `holds` does. */
  async until(holds: () => boolean): Promise<void> {
    while (!holds()) {
      if (this.socket.readyState === WebSocket.CLOSED) throw new Error("the link was cut");
      await new Promise<void>((resolve) => this.#seen.push(resolve));
    }
  }

  /** Takes one message from the connector. */
  receive(message: Buffer, isBinary: boolean): void {
    if (isBinary) {
      const frame = decodeFrame(message);
      if (frame === null || frame.kind === FrameKind.REQUEST) throw new Error("the connector sent no frame");
      this.frames.push(frame);
    } else {
      const text = message.toString();
      this.texts.push(text);
      if (text === PING) this.socket.send(PONG);
      else this.#control(text);
    }
    this.#wake();
  }

  #control(text: string): void {
    const frame = parseControl(FromConnector, text);
    if (frame === null) throw new Error(`the connector sent ${text}`);
    if (frame.type !== "event") return;
    this.events.push(frame);
    if (this.acknowledges) this.say({ type: "event-ack", seq: frame.first + frame.events.length - 1 });
  }

  async #frameAt(index: number): Promise<StandInLink["frames"][number]> {
    await this.until(() => this.frames.length > index);
    const frame = this.frames[index];
    if (frame === undefined) throw new Error("no such frame");
    return frame;
  }

  #wake(): void {
    for (const wake of this.#seen.splice(0)) wake();
  }
}

export type Answered = { status: number; headers: Headers; body: Buffer; text: string; frames: number };

/** A machine's script as its connector sees it: a WebSocket server that knows one token. */
export class ScriptStandIn implements AsyncDisposable {
  token = "right-token";
  acked = 0;
  /** Statuses with which upgrades were refused, in order. */
  readonly refusals: number[] = [];
  /** Answers an upgrade with this status instead, in nobody's words; see `refuseAs`. */
  refuse: number | null = null;
  /** The body of such an answer. */
  refuseAs = "";
  /** The headers of each upgrade. */
  readonly headers: IncomingHttpHeaders[] = [];
  readonly dials: string[] = [];
  /** The challenge in the head of its answer to an upgrade; `null`: it has none, as scripts before 0.3. */
  challenge: string | null = null;
  /** Takes sockets and hellos without a word. */
  isSilent = false;
  /** Sockets that said hello. */
  #greeted = 0;
  readonly #server: Server;
  readonly #sockets = new WebSocketServer({ noServer: true });
  readonly #links: StandInLink[] = [];
  #epoch = 0;
  #waiting: ((link: StandInLink) => void)[] = [];
  #changed: (() => void)[] = [];

  static async start(): Promise<ScriptStandIn> {
    const script = new ScriptStandIn(createServer());
    script.#server.listen(0, "127.0.0.1");
    await once(script.#server, "listening");
    return script;
  }

  private constructor(server: Server) {
    this.#server = server;
    this.#sockets.on("headers", (headers) => {
      if (this.challenge !== null) headers.push(`${CHALLENGE_HEADER}: ${this.challenge}`);
    });
    server.on("upgrade", (request, socket, head) => {
      this.dials.push(request.url ?? "");
      this.headers.push(request.headers);
      const isRight = request.headers.authorization === `Bearer ${this.token}`;
      const status = this.refuse ?? (isRight ? null : 401);
      if (status !== null) {
        this.refusals.push(status);
        const own = this.refuse === null ? `${ERROR_HEADER}: unauthorized\r\n` : "";
        socket.end(
          `HTTP/1.1 ${status} No\r\n${own}content-length: ${this.refuseAs.length}\r\nconnection: close\r\n\r\n${this.refuseAs}`,
        );
        for (const wake of this.#changed.splice(0)) wake();
        return;
      }
      this.#sockets.handleUpgrade(request, socket, head, (webSocket) => this.#greet(webSocket));
    });
  }

  get linkUrl(): string {
    return `ws://127.0.0.1:${(this.#server.address() as AddressInfo).port}/m/attic/link`;
  }

  /** The next link that says hello. */
  link(): Promise<StandInLink> {
    const ready = this.#links.shift();
    return ready === undefined ? new Promise((resolve) => this.#waiting.push(resolve)) : Promise.resolve(ready);
  }

  async greetedTimes(count: number): Promise<void> {
    while (this.#greeted < count) await new Promise<void>((resolve) => this.#changed.push(resolve));
  }

  async refusedTimes(count: number): Promise<void> {
    while (this.refusals.length < count) await new Promise<void>((resolve) => this.#changed.push(resolve));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets.clients) socket.terminate();
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, "close");
  }

  #greet(socket: WebSocket): void {
    let link: StandInLink | null = null;
    socket.on("message", (message: Buffer, isBinary) => {
      if (link !== null) return link.receive(message, isBinary);
      const hello = isBinary ? null : parseControl(FromConnector, message.toString());
      if (hello?.type !== "hello") return socket.close(CloseCode.BAD_FRAME, "no hello");
      this.#greeted += 1;
      for (const wake of this.#changed.splice(0)) wake();
      if (this.isSilent) return;
      link = new StandInLink(socket, hello);
      this.#epoch += 1;
      link.say({ type: "welcome", protocol: PROTOCOL_VERSION, epoch: this.#epoch, acked: this.acked });
      const waiting = this.#waiting.shift();
      if (waiting === undefined) this.#links.push(link);
      else waiting(link);
    });
    socket.on("error", () => undefined); // the close that follows is what tests look at
  }
}
