import { deleteCookie, getCookie, setCookie } from "hono/cookie";
import type { Env } from "../env.ts";
import { accountsOf } from "./accounts/directory.ts";
import type { Person } from "./accounts/people.ts";
import { SESSION_IDLE_MS } from "./accounts/sessions.ts";
import type { PageContext, Session } from "./page-context.ts";
import { isSame, macOf } from "./secret.ts";

/** `__Host-` ties a cookie to this very host and to https; on plain http, which is this computer only, browsers refuse such a name. */
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
    sameSite: "Lax", // a client's page leads here by a link, and must find the session
    secure: isSecure(c),
    maxAge: SESSION_IDLE_MS / 1000,
  });
}

export async function endSession(c: PageContext, env: Env): Promise<void> {
  const secret = getCookie(c, cookieName(c));
  if (secret !== undefined) await accountsOf(env).signOut(secret);
  deleteCookie(c, cookieName(c), { path: "/", secure: isSecure(c) });
}

/** What a session's forms carry, and no other site can know: made of the cookie, which it can't read. */
export function formToken({ secret }: Session): Promise<string> {
  return macOf("form", secret);
}

export async function isFormToken(shown: unknown, session: Session): Promise<boolean> {
  return typeof shown === "string" && isSame(shown, await formToken(session));
}
