import entrypoints from "cloudflare-internal:workers";
import { isEventStream } from "#protocol/header.ts";
import { noteWithin } from "#protocol/keep-within.ts";
import { CALL_HEADER, REFUSED, REMOVED_HEADER, THREW } from "./call.ts";

/** The platform's answer about a script: which one it is, its port, the key that its guard requires, and when no process was running. */
interface Route {
  readonly script: string;
  readonly port: number;
  readonly key: string;
  /** When the exit of its previous process was noticed, and when the current one became ready. */
  readonly endedMs: number;
  readonly startedMs: number;
}

interface Fetcher {
  fetch(input: string | Request, init?: RequestInit): Promise<Response>;
}

interface Inner {
  readonly platform: Fetcher;
  readonly network: Fetcher;
  readonly namespace: string;
  readonly token: string;
  /** Whether event streams are piped here (`watched`). Otherwise the Worker's own code pipes them. */
  readonly pipes: boolean;
}

/** A body up to this size is kept in memory while it is sent, so that it can be sent again if no process received it. */
const HELD_BODY_BYTES = 65_536;
/** A script that answered this recently is assumed to be running: the request's body is streamed to it without keeping a copy. */
const FRESH_MS = 1_000;
/** The first attempt, a second after a stale route, and a third if the script was replaced between those two. */
const ATTEMPTS = 3;

/** Routes that are in memory, of 200 bytes: more than scripts run on one computer. Those of removed scripts stay until they make room. */
const MAX_ROUTES = 10_000;

class NotFound extends Error {
  /** When the script was removed; infinity when that is not known. */
  readonly removedMs: number;

  constructor(removed: string | null) {
    super("Worker not found.");
    this.removedMs = removed === null ? Infinity : Number(removed);
  }
}

/**
 * The implementation of `env.DISPATCH`, a wrapped binding: the Worker sees the object that this function returns.
 *
 * The hard part is a connection that fails. A call may have side effects, so it must not run twice, yet scripts restart
 * and move while calls arrive. `call` therefore sends a request with a body again only if it can show that no process
 * received it: it compares when the call started with when the script's processes ended and became ready. All of these
 * times come from the clock of this computer.
 */
export default function dispatchNamespace(inner: Inner) {
  // Cached in the isolate, so most calls need no lookup. A stale route is harmless: no port is ever given to a second script.
  const routes = new Map<string, Route>();
  const answeredMs = new WeakMap<Route, number>();

  async function find(name: string, lost?: Route): Promise<Route> {
    const path = `/dispatch/${encodeURIComponent(inner.namespace)}/${encodeURIComponent(name)}`;
    const query = lost ? `?lost=${lost.startedMs}` : "";
    const response = await inner.platform.fetch(`http://platform${path}${query}`, {
      headers: { authorization: `Bearer ${inner.token}` },
    });
    if (response.status === 404) throw new NotFound(response.headers.get(REMOVED_HEADER));
    if (!response.ok) throw new Error(`The script is not running: ${await response.text()}`);
    const route = (await response.json()) as Route; // written by platform/route-lookup.ts
    noteWithin(routes, MAX_ROUTES, name, route);
    return route;
  }

  /**
   * Tells a script that the caller of one of its calls has disconnected. Closing the connection is not enough: over TCP
   * workerd notices a graceful close only on its next write, and a quiet stream or a slow tool may write nothing for minutes.
   */
  async function cancel({ port, key }: Route, id: string): Promise<void> {
    try {
      await inner.network.fetch(`http://127.0.0.1:${port}/`, { headers: { [CALL_HEADER]: `${key} ${id}` } });
    } catch {
      // The script's process has ended, and the call with it.
    }
  }

  async function call(name: string, request: Request): Promise<Response> {
    const known = routes.get(name);
    const isFresh = known !== undefined && Date.now() - (answeredMs.get(known) ?? 0) < FRESH_MS;
    const held = isFresh ? asItIs(request) : await hold(request);
    // A streamed body cannot be sent twice, so a lookup first makes sure that the script runs. Only large bodies pay this hop.
    let route = known === undefined || (held === "streams" && !isFresh) ? await find(name) : known;
    const id = crypto.randomUUID();
    // When the caller disconnects, workerd ends this call's context and cancels its work. waitUntil() lets `cancel` finish.
    request.signal?.addEventListener("abort", () => entrypoints.waitUntil(cancel(route, id)));
    for (let attempt = 1; ; attempt += 1) {
      const again = attempt < ATTEMPTS && held !== "streams";
      const begunMs = Date.now();
      let response: Response;
      try {
        response = await inner.network.fetch(`http://127.0.0.1:${route.port}/`, outgoing(request, held, route, id));
      } catch (error) {
        if (request.signal?.aborted) throw error; // the caller has disconnected
        routes.delete(name);
        const fresh = await find(name, route).catch((reason: unknown) => {
          // The script was removed before this call started, so the call cannot have run: "not found" is the truth.
          if (reason instanceof NotFound && reason.removedMs < begunMs) throw reason;
          // The script does not start again, which says nothing about this call: it may have run. Report the lost connection.
          throw error;
        });
        // The error does not tell a refused connection from one lost in the middle. A call is sent again in two cases only.
        // Either it has no body: a GET, HEAD or DELETE is idempotent (RFC 9110 section 9.2.2). Or it started while no
        // process could receive it: after the last exit, and before the current process was ready or at a port that the
        // script no longer has and that is never given to another one.
        const isElsewhere = route.script === fresh.script && route.port !== fresh.port;
        const unsent = fresh.endedMs < begunMs && (begunMs < fresh.startedMs || isElsewhere);
        if (!again || !(held === "nothing" || unsent)) throw error;
        route = fresh;
        continue;
      }
      const verdict = response.headers.get(CALL_HEADER);
      if (verdict === null) {
        if (isRuntimes(response))
          throw new Error("The script's runtime ended the call without an answer of the script.");
        answeredMs.set(route, Date.now());
        return inner.pipes && mayStaySilent(response) ? watched(response) : response;
      }
      if (verdict === THREW) throw new Error(await response.text());
      routes.delete(name);
      if (verdict !== REFUSED || !again)
        throw new Error(`the script ${name} was reached at an address that is not its own`);
      await response.body?.cancel();
      route = await find(name);
    }
  }

  return {
    // The arguments (outbound Workers) and limits of Cloudflare's `get` are ignored here; see README.md.
    get(name: string) {
      return {
        fetch: (input: string | Request, init?: RequestInit) =>
          call(String(name), input instanceof Request && init === undefined ? input : new Request(input, init)),
      };
    },
  };
}

type Held = "nothing" | "streams" | ArrayBuffer;

function asItIs(request: Request): Held {
  return request.body === null ? "nothing" : "streams";
}

async function hold(request: Request): Promise<Held> {
  if (request.body === null) return "nothing";
  const length = request.headers.get("content-length");
  if (length === null || Number(length) > HELD_BODY_BYTES) return "streams";
  return request.arrayBuffer();
}

/** The request as it is sent to the script's port. The header is set on the original where possible, because a copy takes time. */
function outgoing(request: Request, held: Held, route: Route, id: string): Request {
  const { method, headers, signal } = request;
  const call = `${route.key} ${id} ${request.url}`;
  if (held === "streams" || held === "nothing") {
    const copy =
      request.redirect === "manual" && marked(request, call) ? request : new Request(request, { redirect: "manual" });
    if (copy !== request) marked(copy, call);
    return copy;
  }
  const copy = new Request(request.url, { method, headers, body: held, signal, redirect: "manual" });
  marked(copy, call);
  return copy;
}

/** What workerd says when a call fails outside of the script's own code, in an answer with nothing else. */
const INTERNAL_ERROR = "Internal Server Error";

/**
 * Whether workerd itself has answered, because the script would never have: nothing is left that could end its call, or its answer cannot be sent. On
 * Cloudflare such a call throws. A script that answers in these words, without a type, is taken at them.
 */
function isRuntimes({ status, statusText, headers }: Response): boolean {
  return (
    status === 500 &&
    statusText === INTERNAL_ERROR &&
    headers.get("content-length") === String(INTERNAL_ERROR.length) &&
    !headers.has("content-type")
  );
}

function mayStaySilent(response: Response): boolean {
  // The body comes second, because asking for it makes workerd build a stream for it, which most calls do not need.
  return isEventStream(response.headers.get("content-type")) && response.body !== null;
}

/**
 * The same response, with its body piped through this context. workerd forwards a body that JavaScript does not touch by
 * itself and ends the context of the call. The "abort" listener in `call` would end with it, and a disconnect of the
 * caller would go unnoticed.
 *
 * Where the caller's own code pipes the body in the same context, it must not be piped here as well: with two pass-through streams in a row
 * workerd (1.20260815.1) does not report the disconnect either.
 */
function watched(response: Response): Response {
  const { readable, writable } = new IdentityTransformStream();
  response.body?.pipeTo(writable).catch(() => undefined); // one end has closed, and pipeTo() has closed the other
  return new Response(readable, response);
}

/** Sets the call's header. `false` when the request's headers are immutable. */
function marked({ headers }: Request, call: string): boolean {
  try {
    headers.set(CALL_HEADER, call);
    return true;
  } catch {
    return false; // an incoming request that was passed on unchanged: its headers are immutable
  }
}
