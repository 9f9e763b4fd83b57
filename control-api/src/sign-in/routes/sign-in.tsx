import type { PageApp, PageContext } from "../page-context.ts";
import type { AuthenticationResponseJSON } from "@simplewebauthn/server";
import { Hono } from "hono";
import * as z from "zod/mini";
import type { Env } from "../../env.ts";
import { note } from "../../audit/note.ts";
import { notify } from "../../audit/notice.ts";
import type { Entered } from "../accounts/accounts-rpc.ts";
import type { Denied } from "../accounts/denied.ts";
import { accountsOf } from "../accounts/directory.ts";
import type { Limit } from "../accounts/limits.ts";
import { addressOf } from "../address.ts";
import { shownName } from "../client-name.ts";
import { deniedMessageOf } from "../denied-message.ts";
import { formIn } from "../form.ts";
import { nextAfter } from "../next.ts";
import { OAuthPath } from "../oauth/authorization-server.ts";
import { clientOf } from "../oauth/client.ts";
import { respond } from "../../design/respond.tsx";
import { SignInPage } from "../pages/sign-in-page.tsx";
import { isFromOwnPage } from "../same-site.ts";
import { endSession, isFormToken, keepSession, sessionOf, visitOf } from "../session.ts";
import { atLocalhost, siteOf } from "../site.ts";
import { refuseForeignForm } from "./foreign-form.tsx";

/** `/sign-in` and `/sign-out`. */
export const signInRoutes = new Hono<PageApp>();

/** Challenges for signing in with a passkey, from one address. Each is stored for five minutes, and anyone may ask for one. */
const OPTIONS_HERE: Limit = { times: 60, windowMs: 15 * 60_000 };

/** The JSON that script.ts sends. The WebAuthn library checks what is in `response`. */
const PasskeyAnswer = z.object({
  next: z.optional(z.string()),
  response: z.looseObject({ id: z.string().check(z.maxLength(2_048)), response: z.looseObject({}) }),
});

signInRoutes.get("/sign-in", async (c) => {
  const next = nextAfter(c.req.query("next"));
  if ((await sessionOf(c)) !== null) return c.redirect(next, 303);
  const page = (
    <SignInPage
      next={next}
      client={await clientIn(next, c.env)}
      hasPasskeys={siteOf(c.req.url) !== null}
      elsewhere={atLocalhost(new URL(`/sign-in?${new URLSearchParams({ next })}`, c.req.url).href)}
    />
  );
  return respond({ title: "Sign in" }, page);
});

signInRoutes.post("/sign-in", async (c) => {
  if (!isFromOwnPage(c.req.raw)) return refuseForeignForm();
  const form = await formIn(c);
  const [name, password] = [String(form.get("name") ?? ""), String(form.get("password") ?? "")];
  const next = nextAfter(form.get("next"));
  const entered: Entered | Denied = await accountsOf(c.env).signIn(name, password, visitOf(c));
  if (!("denied" in entered)) return enter(c, entered, next, "password");
  const { text, status } = deniedMessageOf(entered);
  console.warn("a sign-in was refused", { why: entered.denied, address: addressOf(c.req.raw, c.env) });
  const page = (
    <SignInPage
      next={next}
      name={name}
      refusal={text}
      hasPasskeys={siteOf(c.req.url) !== null}
      elsewhere={atLocalhost(new URL(`/sign-in?${new URLSearchParams({ next })}`, c.req.url).href)}
    />
  );
  return respond({ title: "Sign in", status }, page);
});

signInRoutes.post("/sign-in/passkey/options", async (c) => {
  const site = siteOf(c.req.url);
  if (site === null || !isFromOwnPage(c.req.raw))
    return c.json({ message: "Passkeys need a domain name and a request from this site." }, 403);
  const waitMs = await accountsOf(c.env).takeFrom("passkey", addressOf(c.req.raw, c.env), OPTIONS_HERE);
  if (waitMs > 0) return c.json({ message: deniedMessageOf({ denied: "slow_down", afterMs: waitMs }).text }, 429);
  return c.json(await accountsOf(c.env).passkeyToSignIn(site));
});

signInRoutes.post("/sign-in/passkey", async (c) => {
  const site = siteOf(c.req.url);
  if (site === null || !isFromOwnPage(c.req.raw))
    return c.json({ message: "Passkeys need a domain name and a request from this site." }, 403);
  const answer = PasskeyAnswer.safeParse(await c.req.json().catch(() => null));
  if (!answer.success) return c.json({ message: "The request does not contain a valid passkey response." }, 400);
  const response = answer.data.response as unknown as AuthenticationResponseJSON; // the library checks every part of it
  const entered: Entered | Denied = await accountsOf(c.env).signInWithPasskey(response, site, visitOf(c));
  if ("denied" in entered) {
    const { text, status } = deniedMessageOf(entered);
    return c.json({ message: entered.denied === "wrong" ? "This Operator does not know this passkey." : text }, status);
  }
  await noteSignIn(c, entered, "passkey");
  return c.json({ next: nextAfter(answer.data.next) });
});

signInRoutes.post("/sign-out", async (c) => {
  const session = await sessionOf(c);
  const form = await formIn(c);
  const isMeant = session !== null && isFromOwnPage(c.req.raw) && (await isFormToken(form.get("csrf"), session));
  if (!isMeant) return refuseForeignForm();
  await endSession(c, c.env);
  return c.redirect("/sign-in", 303);
});

/** Sets the session cookie and redirects. */
export async function enter(c: PageContext, entered: Entered, next: string, how: string): Promise<Response> {
  await noteSignIn(c, entered, how);
  return c.redirect(next, 303);
}

/**
 * Sets the session cookie, records the sign-in, and tells the person of it if it came from a new address. Whoever was signed in with this
 * browser no longer is: nobody could sign them out there any more, and their open pages would go on beside the other person's.
 */
export async function noteSignIn(c: PageContext, entered: Entered, how: string): Promise<void> {
  const { session, person, isNewAddress } = entered;
  const former = await sessionOf(c);
  if (former !== null) await accountsOf(c.env).signOut(former.secret);
  keepSession(c, session);
  note(c.env, person.id, { kind: "sign_in", client: how, subject: person.name });
  const { address, browser } = visitOf(c);
  if (isNewAddress) notify(c.env, person.id, { type: "notice.sign_in_from_new_address", what: address, by: browser });
}

/** The name of the client that sent the person here, or `undefined` if there is none or it cannot be looked up. */
async function clientIn(next: string, env: Env): Promise<string | undefined> {
  if (!next.startsWith(OAuthPath.AUTHORIZE)) return undefined;
  const id = new URL(next, env.ORIGIN).searchParams.get("client_id") ?? "";
  // A client with a metadata document (CIMD) is shown by its host: showing a page to a stranger must not trigger a fetch.
  if (URL.canParse(id)) return new URL(id).hostname || undefined;
  const client = await clientOf(id, null, env);
  return client === "unavailable" || client?.clientName === undefined ? undefined : shownName(client.clientName);
}
