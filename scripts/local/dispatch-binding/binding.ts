import entrypoints from "cloudflare-internal:workers";
import { CALL_HEADER, REFUSED, REMOVED_HEADER, THREW } from "./call.ts";

/** What the platform says about a script: where it listens, the key its guard wants, and when nobody listened there. */
interface Route {
  readonly port: number;
  readonly key: string;
  /** When its last process was seen dead, and when the one that followed was ready. */
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
}

/** A body up to this size is held while it is sent, so that it can be sent again when nobody was there to take it. */
const HELD_BODY_BYTES = 65_536;
/** A script that answered so lately is taken to be there: what a call brings is passed on as it comes, without a copy to send again. */
const FRESH_MS = 1_000;
/** Once for an address that has gone stale, once for a script that was replaced in between. */
const ATTEMPTS = 3;

class NotFound extends Error {
  /** When the script was removed; infinity when nobody remembers. */
  readonly removedMs: number;

  constructor(removed: string | null) {
    super("Worker not found.");
    this.removedMs = removed === null ? Infinity : Number(removed);
  }
}

/** The inside of `env.DISPATCH`, a wrapped binding: this function's answer is what the Worker sees. */
export default function dispatchNamespace(inner: Inner) {
  // Kept by the isolate, so a call costs no lookup. A stale route is harmless: ports are never given out twice.
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
    routes.set(name, route);
    return route;
  }

  /**
   * Tells a script that the caller of one of its calls has gone. Closing the connection would not: over TCP workerd
   * notices an ordinary close only at its next write, and a quiet stream or a slow tool writes nothing for minutes.
   */
  async function cancel({ port, key }: Route, id: string): Promise<void> {
    try {
      await inner.network.fetch(`http://127.0.0.1:${port}/`, { headers: { [CALL_HEADER]: `${key} ${id}` } });
    } catch {
      // The script's process has gone, and the call with it.
    }
  }

  async function call(name: string, request: Request): Promise<Response> {
    const known = routes.get(name);
    const isFresh = known !== undefined && Date.now() - (answeredMs.get(known) ?? 0) < FRESH_MS;
    const held = isFresh ? asItIs(request) : await hold(request);
    // What streams in cannot be sent twice, so its script is made sure of first: one more hop on a large call.
    let route = known === undefined || (held === "streams" && !isFresh) ? await find(name) : known;
    const id = crypto.randomUUID();
    // With its caller the call's context ends, and what it has begun, but for what it waits for until then.
    request.signal?.addEventListener("abort", () => entrypoints.waitUntil(cancel(route, id)));
    for (let attempt = 1; ; attempt += 1) {
      const again = attempt < ATTEMPTS && held !== "streams";
      const begunMs = Date.now();
      let response: Response;
      try {
        response = await inner.network.fetch(`http://127.0.0.1:${route.port}/`, outgoing(request, held, route, id));
      } catch (error) {
        if (request.signal?.aborted) throw error; // its caller has gone
        routes.delete(name);
        const fresh = await find(name, route).catch((reason: unknown) => {
          // It was removed before this call began, so the call cannot have run.
          if (reason instanceof NotFound && reason.removedMs < begunMs) throw reason;
          // A script that does not come back says nothing about this call, which may have run: the caller gets the loss.
          throw error;
        });
        // Refused and lost in the middle look alike from here. A call is sent again only when it has no body (a second
        // time cannot be told from the first), or when it began while no process was there to take it: before the one that
        // is there now was ready, or at the address of an earlier one, which nobody else is ever given.
        const isElsewhere = route.key === fresh.key && route.port !== fresh.port;
        const unsent = fresh.endedMs < begunMs && (begunMs < fresh.startedMs || isElsewhere);
        if (!again || !(held === "nothing" || unsent)) throw error;
        route = fresh;
        continue;
      }
      const verdict = response.headers.get(CALL_HEADER);
      if (verdict === null) {
        answeredMs.set(route, Date.now());
        return isEventStream(response) ? watched(response) : response;
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
    // Neither arguments (outbound Workers) nor limits mean anything on one computer; see README.md.
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

/** The call as it goes to the script's own port. Headers are set in place where they may be: every copy of them costs. */
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

function isEventStream({ headers, body }: Response): boolean {
  return body !== null && headers.get("content-type")?.startsWith("text/event-stream") === true;
}

/**
 * The same stream, which passes through this context: workerd hands on a body that no JavaScript touches by itself, ends
 * the context, and nobody is left to hear that the caller has gone.
 */
function watched(response: Response): Response {
  const { readable, writable } = new IdentityTransformStream();
  response.body?.pipeTo(writable).catch(() => undefined); // either end has gone, and the other one is told by that
  return new Response(readable, response);
}

/** `false`: these headers are not ours to set. */
function marked({ headers }: Request, call: string): boolean {
  try {
    headers.set(CALL_HEADER, call);
    return true;
  } catch {
    return false; // a request as it came in: its headers are immutable
  }
}
