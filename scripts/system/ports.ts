import { randomInt } from "node:crypto";
import { type AddressInfo, createConnection, createServer, type Server } from "node:net";

/**
 * Ports below every common range of ephemeral ports (Linux from 32768, macOS and Windows from 49152). The kernel would otherwise
 * give a script's port to an outgoing connection while the script restarts.
 */
const LOWEST_PORT = 20_000;
const HIGHEST_PORT = 32_000;

/** Assigns ports on 127.0.0.1, each only once, so that a remembered address never leads to another script. */
export class Ports {
  readonly #given = new Set<number>();

  async take(): Promise<number> {
    while (this.#given.size < HIGHEST_PORT - LOWEST_PORT) {
      const port = randomInt(LOWEST_PORT, HIGHEST_PORT);
      if (this.#given.has(port)) continue;
      this.#given.add(port);
      if (await isFree(port)) return port;
    }
    throw new Error(`no port is left between ${LOWEST_PORT} and ${HIGHEST_PORT}: restart Operator`);
  }
}

/**
 * Ports of programs that do not run. Another user's program could listen there meanwhile, and would be sent what is meant for them. Whoever
 * connects is turned away at once, as if nobody listened.
 */
export class HeldPorts {
  readonly #servers = new Map<number, Promise<Server | null>>();

  /** Resolves to whether the port is held: somebody else may have been faster. */
  async hold(port: number): Promise<boolean> {
    const held = this.#servers.get(port) ?? listenAt(port);
    this.#servers.set(port, held);
    if ((await held) !== null) return true;
    this.#servers.delete(port);
    return false;
  }

  /** Resolves when its program can listen there. */
  async release(port: number): Promise<void> {
    const server = await this.#servers.get(port);
    this.#servers.delete(port);
    if (server) await new Promise<void>((resolve) => server.close(() => resolve()));
  }

  async releaseAll(): Promise<void> {
    await Promise.all(Array.from(this.#servers.keys(), (port) => this.release(port)));
  }
}

function listenAt(port: number): Promise<Server | null> {
  return new Promise((resolve) => {
    const server = createServer((socket) => socket.destroy());
    server.unref();
    server.once("error", () => resolve(null));
    server.listen(port, "127.0.0.1", () => resolve(server));
  });
}

/** Whether a program can listen on that port of 127.0.0.1. */
export function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = createServer();
    probe.once("error", () => resolve(false));
    probe.listen(port, "127.0.0.1", () => probe.close(() => resolve(true)));
  });
}

/**
 * A port on 127.0.0.1 that the kernel had free a moment ago, for another process that must be told its port before it starts.
 * It may be taken before that process listens; a program that listens by itself asks for port 0 instead.
 */
export async function freePort(): Promise<number> {
  const probe = createServer();
  await new Promise<void>((resolve, reject) => {
    probe.once("error", reject);
    probe.listen(0, "127.0.0.1", resolve);
  });
  const { port } = probe.address() as AddressInfo; // of a TCP server that listens
  await new Promise((resolve) => probe.close(resolve));
  return port;
}

/** Whether a connection to that port is accepted. */
export function isListening(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = createConnection({ host: "127.0.0.1", port });
    probe.once("error", () => resolve(false));
    probe.once("connect", () => {
      probe.destroy();
      resolve(true);
    });
  });
}
