/**
 * A gate in front of Operator's dispatch Worker, as the `proxy.ts` of a Next.js project (16 or newer), on Vercel or with `next start`.
 *
 * The project holds the domain `*.mcp.example.com` and its certificate. A request to `https://<machine>.mcp.example.com/mcp` is
 * authenticated here, and rewritten to the dispatch Worker with the machine's slug, the caller and the shared secret. Copy this file
 * into the project and set:
 *
 *   GATE_DOMAIN               mcp.example.com
 *   OPERATOR_DISPATCH_URL     where the dispatch Worker answers (`npm run deploy -- --gate-host ...`)
 *   OPERATOR_DISPATCH_SECRET  its DISPATCH_SECRET
 *   GATE_TOKENS               who may come in: `<token>=<user id>`, separated by spaces; or replace `callerOf`
 */
import { createHash, timingSafeEqual } from "node:crypto";
import { type NextRequest, NextResponse } from "next/server";

const OPERATOR_PREFIX = "x-operator-";

/** A machine's slug: its name, and for users other than the owner `--` and a tag. */
const SLUG = /^[a-z0-9](?:-{0,2}[a-z0-9]){0,41}$/;

/** Credentials that are for this gate, and headers that only the front may set. None of them may reach a machine. */
const NOT_PASSED_ON = ["authorization", "cookie", "proxy-authorization", "forwarded", "x-real-ip"];

export function proxy(request: NextRequest): NextResponse {
  const slug = slugIn(request.headers.get("host") ?? "", setting("GATE_DOMAIN"));
  if (slug === null) return NextResponse.next(); // another host of this project
  // Only a machine's MCP endpoint. The link is a WebSocket, which a rewrite cannot carry: machines dial Operator itself.
  if (request.nextUrl.pathname !== "/mcp" || request.headers.has("upgrade"))
    return refusal(404, "A machine has only one endpoint here: /mcp.");
  const caller = callerOf(request);
  if (caller === null)
    return refusal(401, "Sign in first: this needs a valid access token.", { "www-authenticate": "Bearer" });

  const headers = new Headers();
  for (const [name, value] of request.headers)
    if (!name.startsWith(OPERATOR_PREFIX) && !NOT_PASSED_ON.includes(name)) headers.append(name, value);
  headers.set("x-operator-secret", setting("OPERATOR_DISPATCH_SECRET"));
  headers.set("x-operator-machine", slug);
  headers.set("x-operator-caller", caller);
  const target = new URL(`/mcp${request.nextUrl.search}`, setting("OPERATOR_DISPATCH_URL"));
  return NextResponse.rewrite(target, { request: { headers } });
}

/** The machine in `<slug>.<domain>`, or `null` for any other host. */
function slugIn(host: string, domain: string): string | null {
  const hostname = host.toLowerCase().replace(/:\d+$/, "");
  if (!hostname.endsWith(`.${domain}`)) return null;
  const slug = hostname.slice(0, -domain.length - 1);
  return SLUG.test(slug) ? slug : null;
}

/**
 * The id of the user who sends this request, or `null`. It is what Operator calls the user (`/api/me`), "owner" for the person who set
 * it up. Whoever gets in here is believed to be that user, so replace this function with your project's own sign-in if it has one.
 */
function callerOf(request: NextRequest): string | null {
  const shown = digestOf(/^Bearer (.+)$/i.exec(request.headers.get("authorization") ?? "")?.[1] ?? "");
  let found: string | null = null;
  for (const entry of setting("GATE_TOKENS").split(/\s+/)) {
    const [, token = "", user = ""] = /^(.+)=([^=]+)$/.exec(entry) ?? [];
    // All of them are compared, and as digests, so that the time says nothing about how near a guess was.
    if (timingSafeEqual(digestOf(token), shown) && token !== "") found = user;
  }
  return found;
}

function digestOf(text: string): Buffer {
  return createHash("sha256").update(text).digest();
}

function setting(name: string): string {
  const value = process.env[name];
  if (!value) throw new Error(`${name} is not set`);
  return value;
}

function refusal(status: number, message: string, headers: Record<string, string> = {}): NextResponse {
  return NextResponse.json({ error: { message } }, { status, headers });
}
