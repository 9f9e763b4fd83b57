import type { AuthenticationResponseJSON } from "@simplewebauthn/server";
import { Hono } from "hono";
import * as z from "zod/mini";
import { note } from "../../audit/note.ts";
import type { Denied } from "../accounts/denied.ts";
import { accountsOf } from "../accounts/directory.ts";
import { deniedMessageOf } from "../denied-message.ts";
import { formIn } from "../form.ts";
import { nextAfter } from "../next.ts";
import type { PageApp, PageContext, Session } from "../page-context.ts";
import { ConfirmPage } from "../pages/confirm-page.tsx";
import { respond } from "../../design/respond.tsx";
import { isFromOwnPage } from "../same-site.ts";
import { formToken, isFormToken, sessionOf, visitOf } from "../session.ts";
import { siteOf } from "../site.ts";
import { refuseForeignForm } from "./foreign-form.tsx";

/**
 * `/sign-in/confirm`: somebody whose browser is signed in shows their password or passkey again, before a change that gives
 * lasting access (fresh.ts).
 */
export const confirm = new Hono<PageApp>();

/** The JSON that script.ts sends. The WebAuthn library checks what is in `response`. */
const PasskeyAnswer = z.object({
  csrf: z.string(),
  next: z.optional(z.string()),
  response: z.looseObject({ id: z.string().check(z.maxLength(2_048)), response: z.looseObject({}) }),
});

confirm.get("/", async (c) => {
  const next = nextAfter(c.req.query("next"));
  const session = await sessionOf(c);
  if (session === null) return c.redirect(`/sign-in?${new URLSearchParams({ next })}`, 303);
  return session.isFresh ? c.redirect(next, 303) : page(c, session, next);
});

confirm.post("/", async (c) => {
  const session = await sessionOf(c);
  const form = await formIn(c);
  const next = nextAfter(form.get("next"));
  if (session === null) return c.redirect(`/sign-in?${new URLSearchParams({ next })}`, 303);
  if (!isFromOwnPage(c.req.raw) || !(await isFormToken(form.get("csrf"), session))) return refuseForeignForm();
  const password = String(form.get("password") ?? "");
  const denied: Denied | null = await accountsOf(c.env).confirm(session.secret, password, visitOf(c));
  if (denied !== null) return page(c, session, next, denied);
  note(c.env, session.person.id, { kind: "sign_in", client: "password, again", subject: session.person.name });
  return c.redirect(next, 303);
});

confirm.post("/passkey/options", async (c) => {
  const site = siteOf(c.req.url);
  if (site === null || !isFromOwnPage(c.req.raw) || (await sessionOf(c)) === null)
    return c.json({ message: "Passkeys need a domain name and a request from this site." }, 403);
  return c.json(await accountsOf(c.env).passkeyToSignIn(site));
});

confirm.post("/passkey", async (c) => {
  const site = siteOf(c.req.url);
  const session = await sessionOf(c);
  const answer = PasskeyAnswer.safeParse(await c.req.json().catch(() => null));
  if (site === null || session === null || !answer.success)
    return c.json({ message: "The request does not contain a valid passkey response." }, 400);
  if (!isFromOwnPage(c.req.raw) || !(await isFormToken(answer.data.csrf, session)))
    return c.json({ message: "The page was open for too long. Load it again." }, 403);
  const response = answer.data.response as unknown as AuthenticationResponseJSON; // the library checks every part of it
  const accounts = accountsOf(c.env);
  const denied: Denied | null = await accounts.confirmWithPasskey(session.secret, response, site, visitOf(c));
  if (denied !== null) {
    const { text, status } = deniedMessageOf(denied);
    return c.json({ message: denied.denied === "wrong" ? "This is not a passkey of yours." : text }, status);
  }
  note(c.env, session.person.id, { kind: "sign_in", client: "passkey, again", subject: session.person.name });
  return c.json({ next: nextAfter(answer.data.next) });
});

async function page(c: PageContext, session: Session, next: string, denied: Denied | null = null): Promise<Response> {
  const accounts = accountsOf(c.env);
  const [hasPassword, passkeys] = await Promise.all([
    accounts.hasPassword(session.person.id),
    accounts.passkeys(session.person.id),
  ]);
  const { text, status } = denied === null ? { text: undefined, status: 200 as const } : messageOf(denied);
  const body = (
    <ConfirmPage
      person={session.person.name}
      csrf={await formToken(session)}
      next={next}
      hasPassword={hasPassword}
      hasPasskeys={passkeys.length > 0 && siteOf(c.req.url) !== null}
      {...(text === undefined ? {} : { refusal: text })}
    />
  );
  return respond({ title: "Confirm that it is you", status }, body);
}

function messageOf(denied: Denied): ReturnType<typeof deniedMessageOf> {
  const { text, status } = deniedMessageOf(denied);
  return { text: denied.denied === "wrong" ? "The password is wrong." : text, status };
}
