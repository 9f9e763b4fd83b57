import { Agent, request as requestHttp, type ClientRequest } from "node:http";
import { Agent as SecureAgent, request as requestHttps } from "node:https";
import { mayCross } from "#protocol/header.ts";
import { TOKEN_REQUIRED, TOKEN_REQUIRED_HEADER } from "../system/token-required.ts";
import { HttpCall } from "./http-call.ts";
import { CheckedAgent, CONNECT_TIMEOUT_MS } from "./checked-agent.ts";
import { answerError, type Answer, type Target, type TargetRequest } from "./target.ts";

/**
 * How long a connection to the target is kept for the next call. Shorter than the keep-alive of common servers (2 to 5 s), so
 * that a call is never sent on a connection that the server is about to close. Such a call could not be repeated safely.
 */
const IDLE_CONNECTION_MS = 1_500;

/** What is known of the server that should be at a URL of this computer. */
export interface KnownServer {
  /** The `Authorization` header for a request; `null` while no such server runs. */
  readonly authorization: () => string | null;
  /** Why a connection that was just made is none to the server that the last header was for; `null` if it is one. */
  readonly whyNotIts: () => string | null;
  /** Why a connection that was just made must not be used without the header either; `null` if it may. */
  readonly whyNotAny: () => string | null;
}

/** An MCP server at a URL. Uses `node:http` directly, because every byte of every call passes here. */
export class HttpTarget implements Target {
  readonly #url: URL;
  readonly #machine: string;
  readonly #startHint: string;
  readonly #known: KnownServer | null;
  readonly #agent: Agent;
  /** For requests with the server's token. Whoever has a connection of the other one may be somebody else. */
  readonly #knownAgent: Agent;
  readonly #request: typeof requestHttp;

  /**
   * @param startHint advice for the caller when nothing answers there.
   * @param known whose token the requests carry, while it runs.
   */
  constructor(url: URL, machine: string, startHint: string, known: KnownServer | null = null) {
    const secure = url.protocol === "https:";
    const options = { keepAlive: true, scheduling: "lifo", timeout: IDLE_CONNECTION_MS } as const;
    this.#url = url;
    this.#machine = machine;
    this.#startHint = startHint;
    this.#known = known;
    this.#agent = secure
      ? new SecureAgent(options)
      : known === null
        ? new Agent(options)
        : new CheckedAgent(options, known.whyNotAny);
    this.#knownAgent = known === null ? this.#agent : new CheckedAgent(options, known.whyNotIts);
    this.#request = secure ? requestHttps : requestHttp;
  }

  serve(request: TargetRequest, answer: Answer): void {
    let outgoing: ClientRequest;
    try {
      outgoing = this.#open(request);
    } catch (reason) {
      // node:http throws for methods, paths and header values that are not valid in HTTP/1.1.
      answerError(answer, { code: "invalid_request", reason: messageOf(reason) }, request.body);
      return;
    }
    let wasSent = false;
    const call = new HttpCall(request, answer, this.#machine, (failure) =>
      this.#failed(failure, wasSent, request, answer),
    );
    answer.cancelled = () => outgoing.destroy();
    outgoing.on("response", (response) => {
      if (response.headers[TOKEN_REQUIRED_HEADER] !== TOKEN_REQUIRED) return call.receive(response);
      response.resume();
      this.#refused(request, answer);
    });
    // Without a listener, node:http closes the connection and says nothing, and the call would wait for its timeout.
    outgoing.on("upgrade", (_, socket) => {
      socket.destroy();
      call.fail(new Error("it answered with an upgrade that nobody asked for"));
    });
    outgoing.on("error", (failure) => call.fail(failure));
    outgoing.on("socket", (socket) => {
      wasSent = !socket.connecting; // a kept connection needs no connecting
      if (wasSent) return;
      socket.once(this.#url.protocol === "https:" ? "secureConnect" : "connect", () => {
        wasSent = true;
      });
      const timer = setTimeout(() => socket.destroy(new Error("connecting took too long")), CONNECT_TIMEOUT_MS);
      socket.once("close", () => clearTimeout(timer));
      socket.once("connect", () => clearTimeout(timer));
    });
    if (request.body instanceof Uint8Array) outgoing.end(request.body);
    else void stream(request.body, outgoing);
  }

  close(): Promise<void> {
    this.#agent.destroy();
    this.#knownAgent.destroy();
    return Promise.resolve();
  }

  #open({ method, query, headers, body }: TargetRequest): ClientRequest {
    const list = ["host", this.#url.host];
    for (const [name, value] of headers) if (mayCross(name)) list.push(name, value);
    const authorization = this.#known?.authorization() ?? null;
    if (authorization !== null) list.push("authorization", authorization);
    list.push("accept-encoding", "identity");
    if (!(body instanceof Uint8Array)) list.push("transfer-encoding", "chunked");
    else if (body.length > 0 || (method !== "GET" && method !== "HEAD")) list.push("content-length", `${body.length}`);
    return this.#request({
      agent: authorization === null ? this.#agent : this.#knownAgent,
      protocol: this.#url.protocol,
      host: this.#url.hostname.replaceAll(/^\[|\]$/g, ""),
      port: this.#url.port,
      method,
      path: pathOf(this.#url, query),
      headers: list,
    });
  }

  /**
   * The server refused the connector's token. Its 401 is not passed on, because the caller's own token at Operator is not the
   * problem.
   */
  #refused(request: TargetRequest, answer: Answer): void {
    const reason =
      `codez serve at ${this.#url.origin} requires its token, which this connector does not have. Run both as the same ` +
      `user with the same CODEZ_HOME, in the same version, and name it by 127.0.0.1 (codez setup --url), since localhost may be another user's`;
    answerError(answer, { code: "machine_failed", machine: this.#machine, reason }, request.body);
  }

  #failed(failure: Error, wasSent: boolean, request: TargetRequest, answer: Answer): void {
    const address = `${this.#url.origin}${this.#url.pathname}`;
    const reason = wasSent
      ? `${address} broke off: ${failure.message}`
      : "code" in failure && failure.code === "ECONNREFUSED"
        ? `nothing answers at ${address}. ${this.#startHint}`
        : `${address} cannot be reached: ${failure.message}. ${this.#startHint}`;
    const sent = wasSent ? ({ mayHaveRun: true } as const) : {};
    answerError(answer, { code: "machine_failed", machine: this.#machine, reason, ...sent }, request.body);
  }
}

function pathOf(url: URL, query: string): string {
  if (query === "" || query === "?") return url.pathname + url.search;
  return url.pathname + (url.search === "" ? query : `${url.search}&${query.slice(1)}`);
}

async function stream(body: ReadableStream<Uint8Array>, outgoing: ClientRequest): Promise<void> {
  outgoing.flushHeaders(); // the server may answer before the whole body was sent
  try {
    for await (const chunk of body) {
      if (!outgoing.write(chunk)) await drained(outgoing);
      if (outgoing.destroyed) return;
    }
    outgoing.end();
  } catch (reason) {
    outgoing.destroy(new Error("the request's body broke off", { cause: reason }));
  }
}

/** Resolves when more can be written, or when the request has ended. */
function drained(outgoing: ClientRequest): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      outgoing.off("drain", done).off("close", done);
      resolve();
    };
    outgoing.on("drain", done).on("close", done);
  });
}

function messageOf(reason: unknown): string {
  return reason instanceof Error ? reason.message : String(reason);
}
