import { createMiddleware } from "hono/factory";
import * as z from "zod/mini";
import { formIn } from "./form.ts";
import type { PageApp } from "./page-context.ts";
import { refuseForeignForm } from "./routes/foreign-form.tsx";
import { isFromOwnPage } from "./same-site.ts";
import { isFormToken, sessionOf } from "./session.ts";

const FormToken = z.object({ csrf: z.string() });

/**
 * Middleware of pages for a person who is signed in. Others are sent to sign in, and come back to the page that they asked for. Every
 * POST must also come from one of our own pages and carry the session's CSRF token.
 */
export const signedIn = createMiddleware<PageApp>(async (c, next) => {
  const session = await sessionOf(c);
  const { method } = c.req;
  if (session === null) {
    const url = new URL(c.req.url);
    const back = method === "GET" ? url.pathname + url.search : "/account";
    return c.redirect(`/sign-in?${new URLSearchParams({ next: back })}`, 303);
  }
  c.set("session", session);
  if (method !== "POST") return next();
  const isJson = c.req.header("content-type")?.startsWith("application/json") === true;
  const shown = isJson
    ? FormToken.safeParse(await c.req.json().catch(() => null)).data?.csrf
    : (await formIn(c)).get("csrf");
  return isFromOwnPage(c.req.raw) && (await isFormToken(shown, session)) ? next() : refuseForeignForm();
});
