import type { PageApp, PageContext, Session } from "../page-context.ts";
import type { RegistrationResponseJSON } from "@simplewebauthn/server";
import { Hono } from "hono";
import * as z from "zod/mini";
import { note } from "../../audit/note.ts";
import { OWNER } from "../../http/caller.ts";
import type { Denied } from "../accounts/denied.ts";
import { accountsOf } from "../accounts/directory.ts";
import type { PasskeyRecord } from "../accounts/passkeys.ts";
import type { Person } from "../accounts/people.ts";
import { addressOf } from "../address.ts";
import { deniedMessageOf } from "../denied-message.ts";
import { grantsOf, revokeGrant } from "../grants.ts";
import { AccountPage } from "../pages/account-page.tsx";
import { respond } from "../pages/respond.tsx";
import { removePerson } from "../remove-person.ts";
import { isFromOwnPage } from "../same-site.ts";
import { formToken, isFormToken, sessionOf } from "../session.ts";
import { siteOf } from "../site.ts";
import { refuseForeignForm } from "./foreign-form.tsx";

/** `/account`: a person's grants, tokens and credentials, and for the owner the other users. */
export const account = new Hono<PageApp>();

/** Every request needs a session. Every POST must also come from one of our own pages and carry the session's CSRF token. */
account.use("*", async (c, next) => {
  const session = await sessionOf(c);
  if (session === null) return c.redirect("/sign-in?next=%2Faccount", 303);
  c.set("session", session);
  if (c.req.method !== "POST") return next();
  const isJson = c.req.header("content-type")?.startsWith("application/json") === true;
  const shown = isJson
    ? FormToken.safeParse(await c.req.json().catch(() => null)).data?.csrf
    : (await c.req.formData()).get("csrf");
  return isFromOwnPage(c.req.raw) && (await isFormToken(shown, session)) ? next() : refuseForeignForm(c);
});

const FormToken = z.object({ csrf: z.string() });
const Made = z.object({
  response: z.looseObject({ id: z.string().check(z.maxLength(2_048)), response: z.looseObject({}) }),
});

account.get("/", (c) => page(c, c.var.session));

account.post("/grants/:id", async (c) => {
  const { session } = c.var;
  if (await revokeGrant(c.req.param("id"), session.person.id, c.env))
    note(c.env, session.person.id, { kind: "grant_revoked", client: "account page", subject: c.req.param("id") });
  return c.redirect("/account", 303);
});

account.post("/tokens/:id", async (c) => {
  const { person } = c.var.session;
  const label: string | null = await c.env.USER.getByName(person.id).revokeToken(c.req.param("id"));
  if (label !== null) note(c.env, person.id, { kind: "token_revoked", client: "account page", subject: label });
  return c.redirect("/account", 303);
});

account.post("/password", async (c) => {
  const { session } = c.var;
  const form = await c.req.formData();
  const [old = "", password = ""] = ["old", "password"].map((name) => String(form.get(name) ?? ""));
  const denied: Denied | null = await accountsOf(c.env).changePassword(
    session.person.id,
    old,
    password,
    session.secret,
    addressOf(c.req.raw, c.env),
  );
  if (denied === null)
    return page(c, session, {
      said: { kind: "good", text: "Password changed. All other browsers are signed out." },
    });
  const { text, status } = deniedMessageOf(denied);
  return page(c, session, { said: { kind: "bad", text } }, status);
});

account.post("/passkeys/:id", async (c) => {
  const { session } = c.var;
  const removed = await accountsOf(c.env).removePasskey(session.person.id, c.req.param("id"));
  if (removed) return c.redirect("/account", 303);
  return page(
    c,
    session,
    { said: { kind: "bad", text: "This passkey is your only way to sign in. Set a password first." } },
    409,
  );
});

account.post("/passkey/options", async (c) => {
  const site = siteOf(c.req.url);
  if (site === null) return c.json({ message: "Passkeys need a domain name, not an IP address." }, 403);
  return c.json(await accountsOf(c.env).passkeyToAdd(c.var.session.person, site));
});

account.post("/passkey", async (c) => {
  const site = siteOf(c.req.url);
  const made = Made.safeParse(await c.req.json().catch(() => null));
  if (site === null || !made.success) return c.json({ message: "The request does not contain a valid passkey." }, 400);
  const response = made.data.response as unknown as RegistrationResponseJSON; // the library checks every part of it
  const added = await accountsOf(c.env).addPasskey(c.var.session.person.id, response, site);
  return added ? c.json({ next: "/account" }) : c.json({ message: "The passkey was not accepted." }, 400);
});

account.post("/invitations", async (c) => {
  const { session } = c.var;
  if (session.person.id !== OWNER) return refuseForeignForm(c);
  const { code, expiresMs } = await accountsOf(c.env).invite();
  note(c.env, OWNER, { kind: "user_invited", client: "account page", subject: null });
  return page(c, session, { invitation: { code, link: `${c.env.ORIGIN}/invite#${code}`, expiresMs } });
});

account.post("/people/:id", async (c) => {
  const { session } = c.var;
  if (session.person.id !== OWNER) return refuseForeignForm(c);
  const id = c.req.param("id");
  const name = await removePerson(id, c.env);
  if (name !== null) note(c.env, OWNER, { kind: "user_removed", client: "account page", subject: name });
  return c.redirect("/account", 303);
});

async function page(
  c: PageContext,
  session: Session,
  more: Partial<Pick<Parameters<typeof AccountPage>[0], "said" | "invitation">> = {},
  status: 200 | 400 | 401 | 409 | 429 = 200,
): Promise<Response> {
  const { person } = session;
  const accounts = accountsOf(c.env);
  const [grants, tokens, passkeys, hasPassword, people, csrf] = await Promise.all([
    grantsOf(person.id, c.env),
    c.env.USER.getByName(person.id).tokens(),
    accounts.passkeys(person.id) as Promise<PasskeyRecord[]>,
    accounts.hasPassword(person.id),
    person.id === OWNER ? (accounts.people() as Promise<Person[]>) : null,
    formToken(session),
  ]);
  const body = (
    <AccountPage
      person={person}
      csrf={csrf}
      grants={grants}
      tokens={tokens}
      passkeys={passkeys}
      hasPassword={hasPassword}
      hasPasskeys={siteOf(c.req.url) !== null}
      people={people}
      {...more}
    />
  );
  return respond(c, { title: "Account", status }, body);
}
