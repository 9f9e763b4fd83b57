import { abortAllDurableObjects, runInDurableObject } from "cloudflare:test";
import { env as bindings } from "cloudflare:workers";
import type { Dial, Facts, FromScript } from "#protocol/control.ts";
import type { EventPage, PushedEvent } from "#protocol/event.ts";
import { decodeFrame, encodeFrame, type Frame, FrameKind, type ResponseHead } from "#protocol/frame.ts";
import type { HeaderList } from "#protocol/header.ts";
import { PROTOCOL_VERSION } from "#protocol/limits.ts";
import type { MachineState } from "#protocol/script-api.ts";
import { app } from "../../../../machine-template/src/app.ts";
import type { Env } from "../../../../machine-template/src/env.ts";
import type { Machine } from "../../../../machine-template/src/machine.ts";

/** The script's own bindings (vitest.config.ts). */
export const env = bindings as unknown as Env;

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

/** The script's door. In this isolate: through the pool's own service, calls at once cost seconds. */
export function knock(path: string, init: RequestInit = {}): Promise<Response> {
  return Promise.resolve(app.fetch(new Request(`http://machine${path}`, init), env));
}

/** The script's door, as the owner. */
export function ask(path: string, init: RequestInit = {}): Promise<Response> {
  const headers = new Headers(init.headers);
  headers.set("x-operator-caller", "owner");
  return knock(path, { ...init, headers });
}

/** Asks for the link's upgrade with this token. */
export function dial(token: string): Promise<Response> {
  return knock("/link", { headers: { upgrade: "websocket", authorization: `Bearer ${token}` } });
}

/** A page of the machine's log after a position; without one, where the log ends. */
export async function page(
  after?: { epoch: string; seq: number },
  session?: string,
  detail?: string,
): Promise<EventPage> {
  const query = new URLSearchParams(after === undefined ? {} : { epoch: after.epoch, seq: String(after.seq) });
  if (detail !== undefined) query.set("detail", detail);
  if (session !== undefined) query.set("session", session);
  return (await ask(`/operator/events?${query}`)).json();
}

export async function state(): Promise<MachineState> {
  return (await ask("/operator/state")).json();
}

/** Looks at the machine's Durable Object from within. */
export function within<Result>(
  look: (machine: Machine, state: DurableObjectState) => Result | Promise<Result>,
): Promise<Result> {
  return runInDurableObject(env.MACHINE.getByName("machine") as DurableObjectStub<Machine>, look);
}

/** The jobs that the machine has stored for later. */
export async function jobs(): Promise<Partial<Record<"report" | "checkPresence", { atMs: number; failures: number }>>> {
  return within((_, { storage }) => storage.kv.get("jobs") ?? {});
}

/** Forgets the machine, and with it its links and calls, so that nothing of one test is left to the next. */
export async function forget(): Promise<void> {
  await within((_, { storage }) => storage.deleteAll());
  await abortAllDurableObjects();
}

/** The far end of a link, played by the test frame by frame. */
export class TestConnector {
  readonly frames: Frame[] = [];
  readonly words: FromScript[] = [];
  pongs = 0;
  closed: { code: number; reason: string } | null = null;
  readonly #waiting = new Set<() => void>();

  readonly socket: WebSocket;
  /** The challenge in the head of the script's answer. */
  readonly nonce: string;

  private constructor(socket: WebSocket, nonce: string) {
    this.socket = socket;
    this.nonce = nonce;
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

  static async open(token = "link-token"): Promise<TestConnector> {
    const { webSocket, status, headers } = await dial(token);
    if (webSocket === null || webSocket === undefined) throw new Error(`no upgrade: HTTP ${status}`);
    const connector = new TestConnector(webSocket, headers.get("link-challenge") ?? "");
    webSocket.accept();
    return connector;
  }

  /** A connector that has said hello and was welcomed. */
  static async greeted(stream = "stream-1", dialled?: Dial): Promise<TestConnector> {
    const connector = await TestConnector.open();
    connector.hello(stream, dialled);
    await connector.until(() => connector.words.some(({ type }) => type === "welcome"));
    return connector;
  }

  /** @param dialled omitted by connectors from before these counters. */
  hello(stream = "stream-1", dialled?: Dial): void {
    const order = dialled === undefined ? {} : { dial: dialled };
    this.say({ type: "hello", protocol: PROTOCOL_VERSION, stream, ...order, facts: FACTS });
  }

  /** Waits until the script has closed the socket. */
  async ended(): Promise<{ code: number; reason: string }> {
    await this.until(() => this.closed !== null);
    return this.closed ?? { code: 0, reason: "" };
  }

  /** Goes away, and waits until the script has noticed. */
  async leave(): Promise<void> {
    this.socket.close(1000, "test over");
    await this.until(() => this.closed !== null);
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

  /** Answers an exchange with a JSON-RPC result. */
  respondJson(exchange: number, message: object, headers: HeaderList = []): void {
    const type: HeaderList = [["content-type", "application/json"]];
    this.respond(exchange, { headers: [...type, ...headers] }, JSON.stringify({ jsonrpc: "2.0", ...message }));
  }

  /** Waits for the script's next word of this type that was not taken yet. */
  async word<Type extends FromScript["type"]>(type: Type): Promise<Extract<FromScript, { type: Type }>> {
    const isOfType = (word: FromScript): word is Extract<FromScript, { type: Type }> => word.type === type;
    await this.until(() => this.words.some(isOfType));
    const found = this.words.find(isOfType);
    if (found === undefined) throw new Error(`no ${type}`);
    this.words.splice(this.words.indexOf(found), 1);
    return found;
  }

  /** Sends events of this connector's stream and waits until they are acknowledged; answers up to where. */
  async push(first: number, events: readonly Partial<PushedEvent>[]): Promise<number> {
    const whole = events.map((event) => ({ atMs: 1, type: "message", session: null, data: null, ...event }));
    this.say({ type: "event", first, events: whole });
    return (await this.word("event-ack")).seq;
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
      if (this.closed !== null) throw new Error(`the link is closed: ${this.closed.code} ${this.closed.reason}`);
      await new Promise<void>((resolve) => {
        this.#waiting.add(resolve);
      });
    }
  }

  #wake(): void {
    for (const resolve of this.#waiting) resolve();
    this.#waiting.clear();
  }
}
