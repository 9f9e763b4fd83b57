import { kernel } from "./kernel.ts";
import { SimulatedSocket } from "./socket.ts";

/** What the code under simulation sees in place of the runtime's globals of these names. */

const RealDate = globalThis.Date;
class SimulatedDate extends RealDate {
  static override now(): number {
    return kernel.nowMs + kernel.skewMs;
  }
  constructor(...args: [] | [number | string]) {
    super(args[0] ?? SimulatedDate.now());
  }
}
export { SimulatedDate as Date };

export function setTimeout(fire: (...args: never[]) => void, afterMs = 0): number {
  return kernel.setTimer(fire as () => void, afterMs);
}

export function clearTimeout(id: number | null | undefined): void {
  if (id !== null && id !== undefined) kernel.clearTimer(id);
}

export const scheduler = {
  wait: (ms: number): Promise<void> => new Promise((resolve) => kernel.setTimer(resolve, ms)),
};

function line(level: string): (...args: unknown[]) => void {
  return (...args) =>
    void kernel.lines.push(
      `${level}: ${args.map((arg) => (typeof arg === "string" ? arg : JSON.stringify(arg))).join(" ")}`,
    );
}
export const console = { log: line("log"), info: line("info"), warn: line("warn"), error: line("error") };

const { crypto: real } = globalThis as unknown as { crypto: Crypto };
type Subtle = Record<string, (...args: unknown[]) => Promise<unknown>>;
/** The runtime's own cryptography, which takes a moment on another thread. */
const subtle = new Proxy(real.subtle, {
  get: (target, name: string) => {
    const value = (target as unknown as Record<string, unknown>)[name];
    if (typeof value !== "function") return value;
    if (name === "timingSafeEqual") return value.bind(target);
    return (...args: unknown[]) => kernel.during((target as unknown as Subtle)[name]?.(...args) ?? Promise.resolve());
  },
});
export const crypto = {
  subtle,
  randomUUID: () => real.randomUUID(),
  getRandomValues: <Values extends ArrayBufferView>(values: Values): Values =>
    real.getRandomValues(values as never) as unknown as Values,
};

export class WebSocketPair {
  readonly 0: SimulatedSocket;
  readonly 1: SimulatedSocket;
  constructor() {
    [this[0], this[1]] = SimulatedSocket.pair();
  }
}

export class WebSocketRequestResponsePair {
  readonly request: string;
  readonly response: string;
  constructor(request: string, response: string) {
    this.request = request;
    this.response = response;
  }
}

const RealResponse = globalThis.Response;
type Init = ResponseInit & { webSocket?: unknown };
/** A `Response` that may carry a simulated socket. */
export class Response {
  static json = RealResponse.json.bind(RealResponse);
  constructor(body: BodyInit | null, init: Init = {}) {
    if (init.status !== 101) return new RealResponse(body, init) as unknown as Response;
    return {
      status: 101,
      ok: false,
      webSocket: init.webSocket,
      headers: new Headers(init.headers as HeadersInit),
    } as unknown as Response;
  }
}
