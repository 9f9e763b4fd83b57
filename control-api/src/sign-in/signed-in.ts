import { createMiddleware } from "hono/factory";
import * as z from "zod/mini";
import { unreadForm } from "../design/error-page.tsx";
import type { Env } from "../env.ts";
import { MAX_BODY_BYTES, MAX_PROMPT_BYTES } from "../http/body-within.ts";
import { hasTooManyFields } from "../http/form-fields.ts";
import type { NoBody } from "../http/held-bodies.ts";
import { type HeldCall, largeCalls } from "../http/large-calls.ts";
import { formIn } from "./form.ts";
import type { PageApp, PageContext, Session } from "./page-context.ts";
import { refuseForeignForm } from "./routes/foreign-form.tsx";
import { isFromOwnPage } from "./same-site.ts";
import { isFormToken, sessionOf } from "./session.ts";

const FormToken = z.object({ csrf: z.string() });

/** How many requests wait for a person. A page that can be made without this number is made without it. */
async function waitingFor(env: Env, user: string): Promise<number> {
  try {
    return await env.USER.getByName(user).inboxCount();
  } catch (reason) {
    console.error("waiting requests could not be counted", { reason: String(reason) });
    return 0;
  }
}

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
  c.set("waiting", waitingFor(c.env, session.person.id));
  if (method !== "POST") return next();
  const held = await heldIn(c.req.raw, session);
  if (held === null) return checked(c, session, next);
  if ("missing" in held) return unreadForm(MAX_PROMPT_BYTES, held.missing === "no_room" ? 429 : 400);
  try {
    // It may have taken its sender minutes to arrive.
    const now = await sessionOf(c);
    if (now === null) return c.redirect("/sign-in", 303);
    c.set("session", now);
    if (hasTooManyFields(held.bytes, c.req.header("content-type") ?? null)) return unreadForm(MAX_PROMPT_BYTES, 400);
    c.req.raw = new Request(c.req.raw, { method: "POST", body: held.bytes });
    return await checked(c, now, next);
  } finally {
    held[Symbol.dispose]();
  }
});

/** The body of a prompt with files, of which nothing was read before (gate.ts). `null`: every other body is held already. */
async function heldIn(request: Request, { person, id }: Session): Promise<HeldCall | NoBody | null> {
  const length = Number(request.headers.get("content-length"));
  if (length <= MAX_BODY_BYTES) return null;
  return largeCalls.read(request, MAX_PROMPT_BYTES, { user: person.id, client: `browser:${id}` });
}

async function checked(c: PageContext, session: Session, next: () => Promise<void>): Promise<Response | void> {
  const isJson = c.req.header("content-type")?.startsWith("application/json") === true;
  const shown = isJson
    ? FormToken.safeParse(await c.req.json().catch(() => null)).data?.csrf
    : (await formIn(c)).get("csrf");
  return isFromOwnPage(c.req.raw) && (await isFormToken(shown, session)) ? next() : refuseForeignForm();
}
