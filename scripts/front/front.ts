import { createServer as createHttpServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { createSecureServer, type Http2SecureServer, type ServerHttp2Session } from "node:http2";
import type { Duplex } from "node:stream";
import type { TLSSocket } from "node:tls";
import { clientKeyOf } from "#protocol/client-key.ts";
import { ScriptPath } from "#protocol/script-api.ts";
import { AddressRates } from "./address-rates.ts";
import { type BodyTimes, BodyWatch } from "./body-watch.ts";
import { calm } from "./calm.ts";
import type { Certificate } from "./certificate.ts";
import { clientAddress, TrustedProxies } from "./client-address.ts";
import { Connections } from "./connections.ts";
import type { Edge } from "./edge-headers.ts";
import {
  BUSY_MS,
  DRAIN_MS,
  GREETING_MS,
  HEAD_TIMEOUT_MS,
  KEEP_ALIVE_MS,
  MAX_HEAD_BYTES,
  MAX_REQUESTS_PER_ADDRESS,
  MAX_STREAMS,
  RESET_BURST,
  RESETS_PER_SECOND,
} from "./limits.ts";
import { dismiss } from "./linger.ts";
import { RefusalLog } from "./refusal-log.ts";
import { relay, type Upstream } from "./relay.ts";
import { Tally } from "./tally.ts";
import { isWebSocket, relayUpgrade } from "./websocket.ts";

export type FrontOptions = {
  readonly host: string;
  /** 0 takes any free port. */
  readonly port: number;
  readonly upstream: Upstream;
  /** `null`: the front speaks plain HTTP, behind a proxy that terminates TLS. */
  readonly certificate: Certificate | null;
  readonly trusted: TrustedProxies;
  /** Called for refused connections and requests that cannot be parsed. */
  readonly log: (line: string) => void;
  /** Replaces `HEAD_TIMEOUT_MS`, `KEEP_ALIVE_MS` and `GREETING_MS`, for tests. */
  readonly headTimeoutMs?: number;
  readonly keepAliveMs?: number;
  readonly greetingMs?: number;
  /** Replaces the times of body-watch.ts, for tests. */
  readonly bodyTimes?: BodyTimes;
  /** Replaces the rates of limits.ts, for tests. */
  readonly rates?: AddressRates;
};

/** The public server of an Operator on your own computer: TLS, HTTP/1.1 and HTTP/2, limits, and the client's address. */
export class Front implements AsyncDisposable {
  readonly #options: FrontOptions;
  readonly #server: Server | Http2SecureServer;
  readonly #connections: Connections;
  readonly #requests = new Tally<string>();
  readonly #rates: AddressRates;
  readonly #refusals: RefusalLog;
  /** Requests of each HTTP/1.1 connection that are not answered in full yet. A client may send several in a row (pipelining). */
  readonly #unanswered = new Tally<Duplex>();
  /** Cuts connections that have not sent a request yet. */
  readonly #deadlines = new WeakMap<Duplex, NodeJS.Timeout>();
  readonly #headTimeoutMs: number;
  readonly #keepAliveMs: number;
  readonly #greetingMs: number;
  #port = 0;

  /** @throws Node's Error when it cannot listen there (EADDRINUSE, EACCES) */
  static async start(options: FrontOptions): Promise<Front> {
    const front = new Front(options);
    await front.#listen();
    return front;
  }

  private constructor(options: FrontOptions) {
    this.#options = options;
    const { certificate, headTimeoutMs = HEAD_TIMEOUT_MS, keepAliveMs = KEEP_ALIVE_MS, rates } = options;
    const { greetingMs = GREETING_MS } = options;
    this.#rates = rates ?? new AddressRates();
    this.#refusals = new RefusalLog(options.log);
    this.#connections = new Connections(this.#rates, options.trusted, this.#refusals);
    this.#headTimeoutMs = headTimeoutMs;
    this.#keepAliveMs = keepAliveMs;
    this.#greetingMs = greetingMs;
    const limits = { maxHeaderSize: MAX_HEAD_BYTES, headersTimeout: headTimeoutMs, keepAliveTimeout: keepAliveMs };
    // Node's limit for a whole request would be one for all sizes. What limits bodies is body-watch.ts.
    // Without `noDelay`, which Node sets by itself for HTTP without TLS alone, the body of an answer waits up to 40 ms until its head is acknowledged.
    const http1 = { ...limits, requestTimeout: 0, connectionsCheckingInterval: headTimeoutMs / 4, noDelay: true };
    const http2 = {
      settings: { maxConcurrentStreams: MAX_STREAMS },
      streamResetBurst: RESET_BURST,
      streamResetRate: RESETS_PER_SECOND,
    };
    const tls = { handshakeTimeout: headTimeoutMs, allowHTTP1: true, ...http2 };
    const server =
      certificate === null ? createHttpServer(http1) : createSecureServer({ ...http1, ...certificate, ...tls });
    this.#server = server;
    // Not an option of a server for HTTP/2, which takes it from here as well. Node before 24.9 does not ask: there these upgrades are refused.
    Object.assign(server, { shouldUpgradeCallback: isWebSocket });
    const bodies = new BodyWatch(options.bodyTimes);
    server.on("connection", (socket: Duplex & { remoteAddress?: string }) => {
      this.#connections.admit(socket);
      if (certificate === null) this.#expectRequest(socket);
    });
    server.on("secureConnection", (socket: TLSSocket) => {
      if (socket.alpnProtocol !== "h2") this.#expectRequest(socket);
    });
    server.on("session", (session: ServerHttp2Session) => this.#endWhenIdle(session));
    // Node delivers HTTP/2 requests through the HTTP/1.1 interface ("HTTP/2 compatibility API").
    server.on("request", (incoming: IncomingMessage, outgoing: ServerResponse) => {
      if (incoming.httpVersionMajor === 1) this.#awaitAnswer(incoming.socket, outgoing);
      // Its upgrade was ignored. Node (24.21) then loses what came in one read behind the request, so its client must not wait for more answers.
      if (incoming.headers.upgrade !== undefined) outgoing.shouldKeepAlive = false;
      const waitMs = this.#rate(incoming);
      if (waitMs > 0) return calm(outgoing, waitMs);
      const edge = this.#edgeOf(incoming);
      if (edge === null) return void outgoing.writeHead(400).end();
      if (!this.#count(edge, outgoing))
        return void outgoing.writeHead(503, { "retry-after": String(BUSY_MS / 1_000) }).end();
      const { client } = edge;
      relay(incoming, outgoing, options.upstream, edge, bodies, () => {
        if (client !== null) this.#rates.cancel(client);
      });
    });
    server.on("upgrade", (incoming: IncomingMessage, socket: Duplex, head: Buffer) => {
      this.#hasSent(socket);
      // An earlier answer still belongs on this connection. Node emits the upgrade all the same, and would throw when it is answered.
      if (this.#unanswered.of(socket) > 0) return void socket.destroy();
      const edge = this.#edgeOf(incoming);
      const isCrowded = edge !== null && !this.#count(edge, socket);
      if (!isLink(incoming.url)) this.#endSoon(socket);
      relayUpgrade(incoming, socket, head, options.upstream, edge, this.#rate(incoming) || (isCrowded ? BUSY_MS : 0));
    });
    server.on("clientError", (reason: Error & { code?: string }, socket: Duplex) => {
      this.#refusals.tell(`a request could not be parsed (${reason.code ?? reason.message})`);
      // Without a finished handshake nothing can be written.
      if (reason.code === "ERR_TLS_HANDSHAKE_TIMEOUT") socket.destroy();
      else refuse(socket, reason.code);
    });
  }

  get port(): number {
    return this.#port;
  }

  /** Uses a renewed certificate from the next handshake on. Open connections continue. */
  renew(certificate: Certificate): void {
    if ("setSecureContext" in this.#server) this.#server.setSecureContext(certificate);
  }

  /** Accepts no more connections, gives running answers DRAIN_MS to finish, then closes the remaining connections. */
  async [Symbol.asyncDispose](): Promise<void> {
    const closed = new Promise((resolve) => this.#server.close(resolve));
    if ("closeIdleConnections" in this.#server) this.#server.closeIdleConnections();
    const drained = setTimeout(() => this.#connections.destroyAll(), DRAIN_MS);
    await closed;
    clearTimeout(drained);
  }

  #listen(): Promise<void> {
    const { host, port } = this.#options;
    return new Promise((resolve, reject) => {
      this.#server.once("error", reject);
      this.#server.listen({ host, port }, () => {
        this.#server.off("error", reject);
        const address = this.#server.address();
        this.#port = typeof address === "object" && address !== null ? address.port : port;
        resolve();
      });
    });
  }

  /**
   * Counts a request until its answer has ended, or a WebSocket until it is closed. Answers `false` if its client has too many at once. A proxy's
   * own have no limit.
   */
  #count({ client }: Edge, outgoing: ServerResponse | Duplex): boolean {
    if (client === null) return true;
    const key = clientKeyOf(client);
    if (this.#requests.of(key) >= MAX_REQUESTS_PER_ADDRESS) return false;
    this.#requests.add(key);
    outgoing.on("close", () => this.#requests.remove(key));
    return true;
  }

  /** Cuts an HTTP/1.1 connection that sends no request. `headersTimeout` begins with a request's first byte. */
  #expectRequest(socket: Duplex): void {
    const deadline = setTimeout(() => refuse(socket, HEAD_TIMEOUT), this.#headTimeoutMs);
    deadline.unref();
    this.#deadlines.set(socket, deadline);
    socket.on("close", () => clearTimeout(deadline));
  }

  /** Cuts a WebSocket that nobody signed in for, and that its client need not close (control-api/src/http/greeting.ts). */
  #endSoon(socket: Duplex): void {
    const cut = setTimeout(() => socket.destroy(), this.#greetingMs);
    cut.unref();
    socket.on("close", () => clearTimeout(cut));
  }

  #hasSent(socket: Duplex): void {
    clearTimeout(this.#deadlines.get(socket));
  }

  #awaitAnswer(socket: Duplex, outgoing: ServerResponse): void {
    this.#hasSent(socket);
    this.#unanswered.add(socket);
    outgoing.on("close", () => this.#unanswered.remove(socket));
  }

  /** Closes an HTTP/2 connection without requests as `keepAliveTimeout` closes one of HTTP/1.1. */
  #endWhenIdle(session: ServerHttp2Session): void {
    let streams = 0;
    session.on("stream", (stream) => {
      streams += 1;
      stream.on("close", () => (streams -= 1));
    });
    session.on("timeout", () => {
      // A request that is silent for this long may be a tool at work. "timeout" comes again only if it is asked for.
      if (streams === 0) session.destroy();
      else session.setTimeout(this.#keepAliveMs);
    });
    session.setTimeout(this.#keepAliveMs);
  }

  /** The trustworthy facts about a request; `null` if it does not have one valid host, or its target is not a path. */
  #edgeOf(incoming: IncomingMessage): Edge | null {
    const { headers, socket } = incoming;
    const peer = socket.remoteAddress ?? "";
    const { trusted, certificate } = this.#options;
    const isProxied = trusted.includes(peer);
    const forwardedHost = isProxied ? one(headers["x-forwarded-host"]) : undefined;
    const host = forwardedHost ?? one(headers[":authority"]) ?? headers.host;
    const isSecure = isProxied ? isForwardedSecurely(one(headers["x-forwarded-proto"])) : certificate !== null;
    if (host === undefined || !isHost(host) || hostsOf(incoming) > 1 || incoming.url?.startsWith("/") !== true)
      return null;
    return {
      host,
      scheme: isSecure ? "https" : "http",
      client: this.#clientOf(incoming),
    };
  }

  /** The client's address. `null`: a trusted proxy does not name its client. It stands for many, who must not share one client's limits. */
  #clientOf({ headers, socket }: IncomingMessage): string | null {
    const { trusted } = this.#options;
    const client = clientAddress(socket.remoteAddress ?? "", one(headers["x-forwarded-for"]), trusted);
    return trusted.includes(client) ? null : client;
  }

  /** Counts a request of its client. Returns 0 if it may pass, otherwise the milliseconds until the next one may. */
  #rate(incoming: IncomingMessage): number {
    const client = this.#clientOf(incoming);
    return client === null ? 0 : this.#rates.request(client);
  }
}

/**
 * A name or an address, with a port or without one. workerd joins it with the path to a URL, in which anything else (`@`, `/`, `#`)
 * could move the border between the two.
 */
const HOST = /^(?:[\w.-]{1,253}|\[[\da-f:.]{2,45}\])(?::\d{1,5})?$/i;

/** A port above 65,535 and an address with a number too many match the pattern, and are no part of a URL all the same. */
function isHost(host: string): boolean {
  return HOST.test(host) && URL.canParse(`http://${host}/`);
}

/** Whether a proxy's client came over TLS. Of several proxies the first one knows. One that does not say terminates TLS, or it would not be one of ours. */
function isForwardedSecurely(scheme = "https"): boolean {
  return scheme.split(",", 1)[0]?.trim().toLowerCase() === "https";
}

/** Whether a request's target is a machine's link, the only WebSocket that stays. What follows a `?` or `#` is no part of the path. */
function isLink(target = ""): boolean {
  return target.split(/[?#]/, 1)[0]?.endsWith(ScriptPath.LINK) === true;
}

/** Node takes the first `Host` of several. Another server might take the last (RFC 9112 section 3.2: refuse them). */
function hostsOf({ rawHeaders }: IncomingMessage): number {
  return rawHeaders.filter((name, index) => index % 2 === 0 && name.toLowerCase() === "host").length;
}

function one(value: string | string[] | undefined): string | undefined {
  return Array.isArray(value) ? value.join(", ") : value;
}

/** Node's error code for a head that took too long. */
const HEAD_TIMEOUT = "ERR_HTTP_REQUEST_TIMEOUT";

/** Says what is wrong with a request, and ends its connection even if the client does not. */
function refuse(socket: Duplex, code: string | undefined): void {
  if (!socket.writable) return void socket.destroy();
  socket.write(refusalOf(code));
  dismiss(socket);
}

/** The answer to a request that cannot be parsed. */
function refusalOf(code: string | undefined): string {
  const [status, message] = statusOf(code);
  const body = JSON.stringify({ error: { code: "invalid_request", message, retryable: false } });
  const head = [`HTTP/1.1 ${status}`, "content-type: application/json", `content-length: ${Buffer.byteLength(body)}`];
  return `${[...head, "connection: close"].join("\r\n")}\r\n\r\n${body}`;
}

/** The status line for a request that cannot be parsed, by Node's error code. */
function statusOf(code: string | undefined): [status: string, message: string] {
  switch (code) {
    case "HPE_HEADER_OVERFLOW":
      return [
        "431 Request Header Fields Too Large",
        `The request's headers are larger than ${MAX_HEAD_BYTES / 1024} KB. Send fewer or shorter ones.`,
      ];
    case HEAD_TIMEOUT:
      return ["408 Request Timeout", `The request's headers did not arrive within ${HEAD_TIMEOUT_MS / 1000} s.`];
    default:
      return ["400 Bad Request", "This is not a valid HTTP request."];
  }
}
