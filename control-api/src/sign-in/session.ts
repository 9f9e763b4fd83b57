import { deleteCookie, getCookie, setCookie } from "hono/cookie";
import type { Env } from "../env.ts";
import type { BrowserCredential } from "../http/caller.ts";
import { accountsOf } from "./accounts/directory.ts";
import type { OpenSession } from "./accounts/accounts-rpc.ts";
import { SESSION_IDLE_MS, type Visit } from "./accounts/sessions.ts";
import { addressOf } from "./address.ts";
import { validUntil } from "./clock.ts";
import { browserNamed } from "./browser-name.ts";
import { FRESH_MS } from "./fresh.ts";
import type { PageContext, Session } from "./page-context.ts";
import { isSame, macOf } from "./secret.ts";

/**
 * Browsers accept a `__Host-` cookie only over https, for exactly this host, without `Domain`: no subdomain (a machine's address,
 * for example) can set or replace it. Over plain http, which serves this computer only, browsers refuse that prefix. The port is
 * in the name there because cookies are shared by all ports of a host (RFC 6265 section 8.5).
 */
function cookieName(c: PageContext): string {
  return isSecure(c) ? "__Host-operator" : `operator-${new URL(c.req.url).port}`;
}

function isSecure(c: PageContext): boolean {
  return new URL(c.req.url).protocol === "https:";
}

export async function sessionOf(c: PageContext): Promise<Session | null> {
  const secret = getCookie(c, cookieName(c));
  if (secret === undefined || secret.length > 128) return null;
  const found: OpenSession | null = await accountsOf(c.env).session(secret, visitOf(c));
  if (found === null) return null;
  const nowMs = Date.now();
  return { secret, person: found.person, id: found.id, isFresh: nowMs < validUntil(found.provedMs, FRESH_MS, nowMs) };
}

/** Where this request comes from, for the list of signed-in browsers. */
export function visitOf(c: PageContext): Visit {
  return { address: addressOf(c.req.raw, c.env), browser: browserNamed(c.req.header("user-agent") ?? null) };
}

/** Sends someone who has not signed in recently to confirm that it is them, and from there to `next`. */
export function confirmFirst(c: PageContext, next: string): Response {
  return c.redirect(confirmPath(next), 303);
}

export function confirmPath(next: string): string {
  return `/sign-in/confirm?${new URLSearchParams({ next })}`;
}

export function keepSession(c: PageContext, secret: string): void {
  setCookie(c, cookieName(c), secret, {
    path: "/",
    httpOnly: true,
    sameSite: "Lax", // not "Strict": a client's page navigates here to ask for consent, and that navigation needs the cookie
    secure: isSecure(c),
    maxAge: SESSION_IDLE_MS / 1000,
  });
}

export async function endSession(c: PageContext, env: Env): Promise<void> {
  const secret = getCookie(c, cookieName(c));
  if (secret !== undefined) await accountsOf(env).signOut(secret);
  deleteCookie(c, cookieName(c), { path: "/", secure: isSecure(c) });
}

/** What a request of this browser is let in with. */
export function bearerOf({ id }: Session): BrowserCredential {
  return `browser:${id}`;
}

/** The CSRF token in the forms of a session. It is derived from the session cookie, which no other site can read. */
export function formToken({ secret }: Session): Promise<string> {
  return macOf("form", secret);
}

export async function isFormToken(shown: unknown, session: Session): Promise<boolean> {
  return typeof shown === "string" && isSame(shown, await formToken(session));
}
