import { once } from "node:events";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { guard } from "./guard.ts";

/** Reachable only from this machine. For access from elsewhere there is Operator. */
const LOOPBACK = "127.0.0.1";

export interface Route {
  readonly path: string;
  /** The token that every request must carry. */
  readonly token: string;
  readonly maxBodyBytes: number;
  readonly handle: (request: Request, body: string) => Promise<Response>;
}

export interface Listener {
  readonly port: number;
  close(): Promise<void>;
}

/** Rejects when the port is taken. */
export async function listen(
  port: number,
  routes: readonly Route[],
  onError: (error: Error) => void,
): Promise<Listener> {
  const server = createServer((incoming, outgoing) => {
    serve(routes, incoming, outgoing).catch((error: unknown) => {
      // A client that disconnects in the middle of its answer is not a fault.
      if (!outgoing.destroyed && !outgoing.writableEnded)
        onError(error instanceof Error ? error : new Error(String(error)));
      outgoing.destroy();
    });
  });
  // No limit, because long polls and waits for a turn are answered late on purpose.
  server.requestTimeout = 0;
  server.listen(port, LOOPBACK);
  await once(server, "listening");
  return { port: portOf(server), close: () => close(server) };
}

async function serve(routes: readonly Route[], incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> {
  const left = new AbortController();
  outgoing.on("close", () => left.abort());
  const head = headOf(incoming, left.signal);
  if (head === null) return send(new Response("Bad request\n", { status: 400 }), outgoing);
  const { pathname } = new URL(head.url);
  const route = routes.find(({ path }) => path === pathname);
  if (route === undefined) return send(new Response("Not found\n", { status: 404 }), outgoing);
  const refused = guard(head, route.token);
  if (refused !== null) return send(refused, outgoing);
  const body = await readBody(incoming, route.maxBodyBytes);
  if (body === null)
    return send(new Response("Too large\n", { status: 413, headers: { connection: "close" } }), outgoing);
  const method = head.method;
  const request = body === "" ? head : new Request(head, { method, body });
  await send(await route.handle(request, body), outgoing);
}

/** A request without its body; `null` if its target, method or headers are none of a `Request`. Anybody on this computer can send those. */
function headOf(incoming: IncomingMessage, signal: AbortSignal): Request | null {
  try {
    const url = new URL(incoming.url ?? "/", `http://${LOOPBACK}`);
    return new Request(url, { method: incoming.method ?? "GET", headers: headersOf(incoming), signal });
  } catch {
    return null;
  }
}

async function send(response: Response, outgoing: ServerResponse): Promise<void> {
  outgoing.writeHead(response.status, Object.fromEntries(response.headers));
  if (response.body === null) {
    outgoing.end();
    return;
  }
  // Sends the head of an event stream before its first event.
  outgoing.flushHeaders();
  await pipeline(Readable.fromWeb(response.body), outgoing);
}

/** `null` when the body is too large. The rest is not read. */
async function readBody(incoming: IncomingMessage, maxBytes: number): Promise<string | null> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of incoming as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > maxBytes) return null;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString("utf8");
}

function headersOf(incoming: IncomingMessage): Headers {
  const headers = new Headers();
  for (const [name, value] of Object.entries(incoming.headers)) {
    for (const one of Array.isArray(value) ? value : [value ?? ""]) headers.append(name, one);
  }
  return headers;
}

function portOf(server: Server): number {
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("a TCP server has an address with a port");
  return address.port;
}

async function close(server: Server): Promise<void> {
  const closed = once(server, "close");
  server.close();
  server.closeAllConnections();
  await closed;
}
