import { errorResponse, type OperatorError } from "#protocol/error.ts";
import type { EventPage, LoggedEvent } from "#protocol/event.ts";
import type { CallRequest } from "#protocol/script-api.ts";

const encoder = new TextEncoder();

/** An answer that a test wants given. */
export type Answer = {
  status?: number;
  headers?: Record<string, string>;
  body: string;
  /** After this the body stays open and sends nothing more. */
  isEndless?: boolean;
  /** The response's head never arrives. */
  isSilent?: boolean;
};

/** A machine script as a test wants it to be. What it does not say, the stand-in makes up. */
export type Plan = {
  owner: string;
  log?: { epoch: string; events: LoggedEvent[]; pageRows?: number };
  /** By `GET /path`, or for calls of the machine's server by `tools/call <tool>` or the method. */
  answers?: Record<string, Answer>;
  /** Every request fails like this. */
  fails?: OperatorError;
  /** Its process has stopped: it answers nothing and breaks no connection. */
  hangs?: true;
};

/** A request that reached a script. */
export type Reached = { method: string; path: string; headers: Record<string, string>; body: string };

type Asked = {
  method: string;
  url: string;
  headers: Iterable<[string, string]> & { get(name: string): string | null };
  text(): Promise<string>;
};

/**
 * The dispatch Worker with machine scripts behind it, as the control API under test sees them. At http://stand-in/<slug>
 * the test sets a script's behaviour (PUT a `Plan`) and reads what reached it (GET: `Reached[]`).
 */
export function dispatcher(): (request: Asked) => Promise<Response> {
  const plans = new Map<string, Plan>();
  const reached = new Map<string, Reached[]>();
  return async (request) => {
    const url = new URL(request.url);
    const body = await request.text();
    if (url.hostname === "stand-in") {
      const slug = url.pathname.slice(1);
      if (request.method === "GET") return Response.json(reached.get(slug) ?? []);
      plans.set(slug, JSON.parse(body));
      return new Response(null, { status: 204 });
    }
    if (request.headers.get("x-operator-secret") !== "gate-secret") return errorResponse({ code: "unauthorized" });
    const slug = request.headers.get("x-operator-machine") ?? "";
    const path = url.pathname + url.search;
    reached.set(slug, [
      ...(reached.get(slug) ?? []),
      { method: request.method, path, headers: Object.fromEntries(request.headers), body },
    ]);
    const plan = plans.get(slug);
    const isLink = url.pathname === "/link";
    if (plan === undefined || (!isLink && request.headers.get("x-operator-caller") !== plan.owner))
      return errorResponse(isLink ? { code: "unauthorized" } : { code: "machine_unknown", machine: slug });
    if (plan.fails !== undefined) return errorResponse(plan.fails);
    if (plan.hangs === true) return new Promise(() => undefined);
    return answer(plan, slug, request.method, url, body);
  };
}

function endless(text: string): ReadableStream<Uint8Array> {
  return new ReadableStream({ start: (controller) => controller.enqueue(encoder.encode(text)) });
}

function answer(
  plan: Plan,
  slug: string,
  method: string,
  { pathname, searchParams }: URL,
  body: string,
): Response | Promise<Response> {
  const planned = plan.answers?.[keyOf(method, pathname, body)];
  if (planned?.isSilent === true) return new Promise(() => {});
  if (planned !== undefined) {
    const status = planned.status ?? 200;
    const isEmpty = planned.body === "" || status === 204 || status === 205 || status === 304;
    // The body is bytes, because for a string `Response` would add a text/plain type that no plan asked for.
    if (planned.isEndless === true)
      return new Response(endless(planned.body), { status, headers: planned.headers ?? {} });
    return new Response(isEmpty ? null : encoder.encode(planned.body), { status, headers: planned.headers ?? {} });
  }
  switch (pathname) {
    case "/operator/state":
      return Response.json({
        online: true,
        epoch: 1,
        connectedAtMs: 1,
        lastSeenMs: 2,
        facts: null,
        position: { epoch: plan.log?.epoch ?? "e", seq: plan.log?.events.at(-1)?.seq ?? 0 },
        template: "t1",
        exchanges: 0,
        sessions: [],
      });
    case "/operator/events":
      return Response.json(pageOf(plan, searchParams));
    case "/operator/call": {
      // Says where the call arrived and as what.
      const result = { content: [{ type: "text", text: JSON.stringify({ at: slug, ...JSON.parse(body) }) }] };
      return Response.json({ jsonrpc: "2.0", id: "operator-1", result });
    }
    case "/operator/log":
      return method === "GET" ? Response.json(logPageOf(plan, searchParams)) : new Response(null, { status: 204 });
    case "/link":
      return errorResponse({ code: "machine_starting", machine: slug }); // no script here accepts a WebSocket
    case "/operator/credentials":
      return errorResponse({ code: "not_found", reason: "a script from before there were any" });
    case "/operator/close":
      return new Response(null, { status: 204 });
    default:
      return new Response(encoder.encode(`${slug} ${method} ${pathname}`));
  }
}

function keyOf(method: string, path: string, body: string): string {
  if (path !== "/operator/call") return `${method} ${path}`;
  const call: CallRequest = JSON.parse(body);
  return call.method === "tools/call" ? `tools/call ${String(call.params?.["name"])}` : call.method;
}

function logPageOf({ log }: Plan, query: URLSearchParams): LoggedEvent[] {
  const { events, pageRows = 500 } = log ?? { events: [] };
  return events.filter(({ seq }) => seq > Number(query.get("after"))).slice(0, pageRows);
}

function pageOf({ log }: Plan, query: URLSearchParams): EventPage {
  const { epoch, events, pageRows = 500 } = log ?? { epoch: "e", events: [] };
  const newest = events.at(-1)?.seq ?? 0;
  const isOurs = query.get("epoch") === epoch;
  const from = isOurs ? Number(query.get("seq")) : 0;
  const session = query.get("session");
  const after = events.filter((event) => event.seq > from && (session === null || event.session === session));
  const page = after.slice(0, pageRows);
  const more = page.length < after.length;
  const gap = !isOurs || from < (events[0]?.seq ?? newest + 1) - 1;
  return { events: page, position: { epoch, seq: more ? (page.at(-1)?.seq ?? from) : newest }, gap, more };
}
