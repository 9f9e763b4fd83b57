import { Agent, type AgentOptions, type ClientRequestArgs } from "node:http";
import type { Socket } from "node:net";

/** Time limit for connecting to the target. Milliseconds. */
export const CONNECT_TIMEOUT_MS = 10_000;

/**
 * Connections that are looked at when they are made, before anything is sent on them. Another user's program can wait for a server to end and
 * take its port in the same millisecond, so a look at who has the port is worth something only then.
 */
export class CheckedAgent extends Agent {
  readonly #whyNot: () => string | null;

  /** @param whyNot why a connection that was just made must not be used; `null` if it may */
  constructor(options: AgentOptions, whyNot: () => string | null) {
    super(options);
    this.#whyNot = whyNot;
  }

  override createConnection(
    options: ClientRequestArgs,
    oncreate: (error: Error | null, socket: Socket) => void = () => undefined,
  ): null {
    const socket = super.createConnection(options) as Socket; // as of every agent without TLS
    const failed = (error: Error): void => oncreate(error, socket);
    const timer = setTimeout(() => socket.destroy(new Error("connecting took too long")), CONNECT_TIMEOUT_MS);
    socket.once("error", failed);
    socket.once("close", () => clearTimeout(timer));
    socket.once("connect", () => {
      clearTimeout(timer);
      const whyNot = this.#whyNot();
      if (whyNot !== null) return socket.destroy(new Error(whyNot));
      socket.off("error", failed);
      oncreate(null, socket);
    });
    return null;
  }
}
