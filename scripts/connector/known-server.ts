import { Agent, type AgentOptions, type ClientRequestArgs } from "node:http";
import type { Socket } from "node:net";

/** Time limit for connecting. The server is on this computer. */
const CONNECT_TIMEOUT_MS = 10_000;

/** A server on this computer with whose token the connector proves whose it is. */
export interface KnownServer {
  /** The `Authorization` header for a request; `null` while no such server runs. */
  authorization(): string | null;
  /** Whether the server that the last header was for has its port at this moment, and has had it since then. */
  isStillThere(): boolean;
}

/**
 * Connects to a known server, and to nobody else who has its port. Another user's program can wait for the server to end and take the port in
 * the same millisecond. So a connection is used only if the server is still there when it is made: then no other program can have
 * accepted it. Nothing is sent before.
 */
export class KnownAgent extends Agent {
  readonly #server: KnownServer;

  constructor(options: AgentOptions, server: KnownServer) {
    super(options);
    this.#server = server;
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
      if (!this.#server.isStillThere()) return socket.destroy(new Error("its server has just ended"));
      socket.off("error", failed);
      oncreate(null, socket);
    });
    return null;
  }
}
