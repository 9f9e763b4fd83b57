import { deleteCookie, getCookie, setCookie } from "hono/cookie";
import type { Env } from "../env.ts";
import { accountsOf } from "./accounts/directory.ts";
import type { Person } from "./accounts/people.ts";
import { SESSION_IDLE_MS } from "./accounts/sessions.ts";
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
  const person: Person | null = await accountsOf(c.env).personOfSession(secret);
  return person === null ? null : { secret, person };
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

/** The CSRF token in the forms of a session. It is derived from the session cookie, which no other site can read. */
export function formToken({ secret }: Session): Promise<string> {
  return macOf("form", secret);
}

export async function isFormToken(shown: unknown, session: Session): Promise<boolean> {
  return typeof shown === "string" && isSame(shown, await formToken(session));
}
