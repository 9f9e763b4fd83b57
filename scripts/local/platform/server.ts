import { createServer } from "node:http";
import type { IncomingMessage, Server, ServerResponse } from "node:http";
import { failure } from "./envelope.ts";
import { PlatformFailure } from "./error.ts";
import { UPLOAD_LIMIT_BYTES } from "./upload.ts";

export type Handler = (request: Request) => Promise<Response> | Response;

export interface Listening {
  readonly port: number;
  stop(): Promise<void>;
}

/** Thrown by a handler whose reply is to be lost: the connection is cut, without an answer. */
export class ReplyLost extends Error {
  override readonly name = "ReplyLost";
}

/** Whether a request with this `Authorization` header comes from one of Operator's own programs. */
export type Admits = (authorization: string | undefined) => boolean;

/**
 * Serves a fetch handler on 127.0.0.1. Bodies are buffered whole: they are uploads of bounded size, or a few lines of JSON. Any
 * program on this computer can connect, so the body of a request that is not admitted is not read at all.
 */
export async function serve(handler: Handler, port: number, admits: Admits): Promise<Listening> {
  const server = createServer((incoming, outgoing) => void answer(handler, incoming, outgoing, admits));
  // workerd reuses idle connections. With Node's default, the server would close one after 5 s, possibly just as workerd
  // sends a request on it, and that request would fail. 0 means that Node keeps idle connections open.
  server.keepAliveTimeout = 0;
  await listen(server, port);
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("the platform has no port");
  return {
    port: address.port,
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

function listen(server: Server, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, "127.0.0.1", () => resolve());
  });
}

async function answer(
  handler: Handler,
  incoming: IncomingMessage,
  outgoing: ServerResponse,
  admits: Admits,
): Promise<void> {
  const isAdmitted = admits(incoming.headers.authorization);
  let response: Response;
  try {
    // The handler refuses a request that is not admitted in its own words.
    response = await handler(isAdmitted ? await toRequest(incoming) : withoutBody(incoming));
  } catch (error) {
    if (error instanceof ReplyLost) return void incoming.socket.destroy();
    response = failure(error);
  }
  const body = Buffer.from(await response.arrayBuffer());
  const headers = { ...Object.fromEntries(response.headers), "content-length": body.length };
  outgoing.writeHead(response.status, isAdmitted ? headers : { ...headers, connection: "close" });
  outgoing.end(body, () => {
    if (!isAdmitted) incoming.destroy();
  });
}

function withoutBody({ method = "GET", url = "/", headers: { authorization } }: IncomingMessage): Request {
  const headers = authorization === undefined ? {} : { authorization };
  return new Request(new URL(url, "http://platform"), { method, headers });
}

async function toRequest(incoming: IncomingMessage): Promise<Request> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of incoming as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > UPLOAD_LIMIT_BYTES)
      throw new PlatformFailure({ code: "upload_too_large", limitBytes: UPLOAD_LIMIT_BYTES });
    chunks.push(chunk);
  }
  const method = incoming.method ?? "GET";
  const headers = new Headers();
  for (const [name, value] of Object.entries(incoming.headers)) if (typeof value === "string") headers.set(name, value);
  const body = method === "GET" || method === "HEAD" || size === 0 ? null : Buffer.concat(chunks);
  return new Request(new URL(incoming.url ?? "/", "http://platform"), { method, headers, body });
}
