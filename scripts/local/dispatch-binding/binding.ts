import { CALL_HEADER, REFUSED, THREW } from "./call.ts";

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
/** Once for an address that has gone stale, once for a script that was replaced in between. */
const ATTEMPTS = 3;

/** The inside of `env.DISPATCH`, a wrapped binding: this function's answer is what the Worker sees. */
export default function dispatchNamespace(inner: Inner) {
  // Kept by the isolate, so a call costs no lookup. A stale route is harmless: ports are never given out twice.
  const routes = new Map<string, Route>();

  async function find(name: string, lost?: Route): Promise<Route> {
    const path = `/dispatch/${encodeURIComponent(inner.namespace)}/${encodeURIComponent(name)}`;
    const query = lost ? `?lost=${lost.startedMs}` : "";
    const response = await inner.platform.fetch(`http://platform${path}${query}`, {
      headers: { authorization: `Bearer ${inner.token}` },
    });
    if (response.status === 404) throw new Error("Worker not found.");
    if (!response.ok) throw new Error(await response.text());
    const route = (await response.json()) as Route; // written by platform/route-lookup.ts
    routes.set(name, route);
    return route;
  }

  async function call(name: string, request: Request): Promise<Response> {
    const held = await hold(request);
    // What streams in cannot be sent twice, so its script is made sure of first: one more hop on a large call.
    let route = held === "streams" ? await find(name) : (routes.get(name) ?? (await find(name)));
    for (let attempt = 1; ; attempt += 1) {
      const again = attempt < ATTEMPTS && held !== "streams";
      const begunMs = Date.now();
      let response: Response;
      try {
        response = await inner.network.fetch(outgoing(request, held, route), { redirect: "manual" });
      } catch (error) {
        if (request.signal?.aborted) throw error; // its caller has gone
        routes.delete(name);
        const fresh = await find(name, route);
        // Refused and lost in the middle look alike from here. A call is sent again only when it has no body (a second
        // time cannot be told from the first), or when it began while no process was there to take it.
        const unsent = fresh.endedMs < begunMs && begunMs < fresh.startedMs;
        if (!again || !(held === "nothing" || unsent)) throw error;
        route = fresh;
        continue;
      }
      const verdict = response.headers.get(CALL_HEADER);
      if (verdict === null) return response;
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
      return { fetch: (input: string | Request, init?: RequestInit) => call(String(name), new Request(input, init)) };
    },
  };
}

type Held = "nothing" | "streams" | ArrayBuffer;

async function hold(request: Request): Promise<Held> {
  if (request.body === null) return "nothing";
  const length = request.headers.get("content-length");
  if (length === null || Number(length) > HELD_BODY_BYTES) return "streams";
  return request.arrayBuffer();
}

function outgoing(request: Request, held: Held, route: Route): Request {
  const address = `http://127.0.0.1:${route.port}/`;
  const copy =
    typeof held === "string"
      ? new Request(address, request)
      : new Request(address, { method: request.method, headers: request.headers, body: held, signal: request.signal });
  copy.headers.set(CALL_HEADER, `${route.key} ${request.url}`);
  // Miniflare's sockets take this header for request.cf, which a user script does not get (untrusted mode).
  copy.headers.delete("mf-cf-blob");
  return copy;
}
