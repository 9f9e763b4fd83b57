import { createMiddleware } from "hono/factory";
import * as z from "zod/mini";
import { formIn } from "../form.ts";
import type { PageApp } from "../page-context.ts";
import { isFromOwnPage } from "../same-site.ts";
import { isFormToken, sessionOf } from "../session.ts";
import { refuseForeignForm } from "./foreign-form.tsx";

const FormToken = z.object({ csrf: z.string() });

/**
 * Middleware for a page and all below it: every request needs a session. Every POST must also come from one of our own pages and carry
 * the session's CSRF token.
 * @param page where somebody who signs in first is sent then
 */
export function signedIn(page: string) {
  return createMiddleware<PageApp>(async (c, next) => {
    const session = await sessionOf(c);
    if (session === null) return c.redirect(`/sign-in?${new URLSearchParams({ next: page })}`, 303);
    c.set("session", session);
    if (c.req.method !== "POST") return next();
    const isJson = c.req.header("content-type")?.startsWith("application/json") === true;
    const shown = isJson
      ? FormToken.safeParse(await c.req.json().catch(() => null)).data?.csrf
      : (await formIn(c)).get("csrf");
    return isFromOwnPage(c.req.raw) && (await isFormToken(shown, session)) ? next() : refuseForeignForm(c);
  });
}
