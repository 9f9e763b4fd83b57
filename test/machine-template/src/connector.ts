import { SELF } from "cloudflare:test";
import type { Facts, FromScript } from "#protocol/control.ts";
import { decodeFrame, encodeFrame, type Frame, FrameKind, type ResponseHead } from "#protocol/frame.ts";
import { PROTOCOL_VERSION } from "#protocol/limits.ts";

export const FACTS: Facts = {
  hostname: "attic.lan",
  os: "linux",
  arch: "x64",
  cpus: 4,
  memoryBytes: 8e9,
  codez: "0.1.0",
  agent: null,
  repos: [],
  capabilities: [],
};

export type RequestFrame = Extract<Frame, { kind: typeof FrameKind.REQUEST }>;

/** The script's door, as the owner. */
export function ask(path: string, init: RequestInit = {}): Promise<Response> {
  const headers = new Headers(init.headers);
  headers.set("x-operator-caller", "owner");
  return SELF.fetch(new Request(`http://machine${path}`, { ...init, headers }));
}

/** Asks for the link's upgrade with this token. */
export function dial(token: string): Promise<Response> {
  const headers = { upgrade: "websocket", authorization: `Bearer ${token}` };
  return SELF.fetch(new Request("http://machine/link", { headers }));
}

/** The far end of a link, played by the test frame by frame. */
export class TestConnector {
  readonly frames: Frame[] = [];
  readonly words: FromScript[] = [];
  pongs = 0;
  closed: { code: number; reason: string } | null = null;
  #wake: () => void = () => undefined;

  readonly socket: WebSocket;
  static readonly #open = new Set<TestConnector>();

  private constructor(socket: WebSocket) {
    this.socket = socket;
    socket.binaryType = "arraybuffer";
    socket.addEventListener("message", ({ data }) => {
      if (data === "pong") this.pongs += 1;
      else if (typeof data === "string") this.words.push(JSON.parse(data));
      else {
        const frame = decodeFrame(new Uint8Array(data as ArrayBuffer));
        if (frame === null) throw new Error("the script sent something that is no frame");
        this.frames.push(frame);
      }
      this.#wake();
    });
    socket.addEventListener("close", ({ code, reason }) => {
      this.closed = { code, reason };
      this.#wake();
    });
  }

  /** Ends every link, so that no call of one test is left to the next. */
  static closeAll(): void {
    for (const { socket } of TestConnector.#open)
      if (socket.readyState === WebSocket.OPEN) socket.close(1000, "test over");
    TestConnector.#open.clear();
  }

  static async open(): Promise<TestConnector> {
    const { webSocket, status } = await dial("link-token");
    if (webSocket === null || webSocket === undefined) throw new Error(`no upgrade: HTTP ${status}`);
    const connector = new TestConnector(webSocket);
    TestConnector.#open.add(connector);
    webSocket.accept();
    return connector;
  }

  /** A connector that has said hello and was welcomed. */
  static async greeted(stream = "stream-1"): Promise<TestConnector> {
    const connector = await TestConnector.open();
    connector.say({ type: "hello", protocol: PROTOCOL_VERSION, stream, facts: FACTS });
    await connector.until(() => connector.words.some(({ type }) => type === "welcome"));
    return connector;
  }

  say(word: object): void {
    this.socket.send(JSON.stringify(word));
  }

  send(frame: Frame): void {
    this.socket.send(encodeFrame(frame));
  }

  respond(exchange: number, head: Partial<ResponseHead>, body = "", end = true): void {
    const bytes = new TextEncoder().encode(body);
    this.send({ kind: FrameKind.RESPONSE, exchange, end, head: { status: 200, headers: [], ...head }, body: bytes });
  }

  /** Waits for the next request frame that was not taken yet. */
  async request(): Promise<RequestFrame> {
    await this.until(() => this.frames.some(({ kind }) => kind === FrameKind.REQUEST));
    const at = this.frames.findIndex(({ kind }) => kind === FrameKind.REQUEST);
    const [frame] = this.frames.splice(at, 1);
    if (frame?.kind !== FrameKind.REQUEST) throw new Error("not a request");
    return frame;
  }

  /** Waits until what has come makes `isSo` true. */
  async until(isSo: () => boolean): Promise<void> {
    while (!isSo()) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }
}
