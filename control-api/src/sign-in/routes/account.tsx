import type { PageApp } from "../page-context.ts";
import type { RegistrationResponseJSON } from "@simplewebauthn/server";
import { Hono } from "hono";
import { createMiddleware } from "hono/factory";
import * as z from "zod/mini";
import { messageOf, type OperatorError } from "#protocol/error.ts";
import { note } from "../../audit/note.ts";
import { notify } from "../../audit/notice.ts";
import { OWNER } from "../../http/caller.ts";
import { shownNamed } from "../../http/shown-machine.ts";
import type { Denied } from "../accounts/denied.ts";
import { accountsOf } from "../accounts/directory.ts";
import { MAX_PASSKEYS, PASSKEY_NAME_CHARACTERS, type PasskeyRecord } from "../accounts/passkeys.ts";
import { addressOf } from "../address.ts";
import { deniedMessageOf } from "../denied-message.ts";
import { formIn } from "../form.ts";
import { revokeGrant } from "../grants.ts";
import { removePerson } from "../remove-person.ts";
import { bearerOf, confirmFirst, confirmPath, endSession, visitOf } from "../session.ts";
import { signedIn } from "../signed-in.ts";
import { siteOf } from "../site.ts";
import { tokenAsked } from "../token-form.ts";
import { accountPage } from "./account-view.tsx";
import { refuseForeignForm } from "./foreign-form.tsx";

/** `/account`: a person's grants, tokens and credentials, and for the owner the other users. */
export const account = new Hono<PageApp>();

account.use("*", signedIn);

/**
 * Middleware for changes that give lasting access or take it from others: the person must have shown a password or passkey recently.
 * It is attached to the routes themselves, as in http/needs.ts.
 */
const fresh = createMiddleware<PageApp>(async (c, next) => {
  if (c.var.session.isFresh) return next();
  const isJson = c.req.header("content-type")?.startsWith("application/json") === true;
  if (!isJson) return confirmFirst(c, "/account");
  return c.json({ message: "Confirm first that it is you.", confirm: confirmPath("/account") }, 403);
});

const Made = z.object({
  response: z.looseObject({ id: z.string().check(z.maxLength(2_048)), response: z.looseObject({}) }),
});

const BAD_TOKEN =
  "A token needs a purpose of 1 to 64 characters, and days and calls are whole numbers. One that manages your machines cannot be limited to a machine or to a number of calls.";

account.get("/", (c) => accountPage(c, c.var.session));

// A form's answer has the form's address, and may be opened again later: in a tab that was put away, or from a bookmark.
account.get("/*", (c) => c.redirect("/account", 303));

account.post("/grants/:id", async (c) => {
  const { session } = c.var;
  const subject = await revokeGrant(c.req.param("id"), session.person.id, c.env);
  if (subject !== null) note(c.env, session.person.id, { kind: "grant_revoked", client: "account page", subject });
  return c.redirect("/account", 303);
});

account.post("/tokens/:id", async (c) => {
  const { person } = c.var.session;
  const label: string | null = await c.env.USER.getByName(person.id).revokeToken(c.req.param("id"));
  if (label !== null) note(c.env, person.id, { kind: "token_revoked", client: "account page", subject: label });
  return c.redirect("/account", 303);
});

account.post("/tokens", fresh, async (c) => {
  const { session } = c.var;
  const asked = tokenAsked(await formIn(c), Date.now());
  if (asked === null) return accountPage(c, session, { said: { kind: "bad", text: BAD_TOKEN } }, 400);
  const { person } = session;
  const made = await c.env.USER.getByName(person.id).createToken(asked.label, asked.limits, {
    credential: bearerOf(session),
  });
  if ("code" in made) return accountPage(c, session, { said: { kind: "bad", text: messageOf(made) } }, 400);
  note(c.env, person.id, { kind: "token_created", client: "account page", subject: asked.label });
  notify(c.env, person.id, { type: "notice.token_created", what: asked.label, by: "account page" });
  return accountPage(c, session, { madeToken: made.token });
});

account.post("/approvals/:machine", async (c) => {
  const { session } = c.var;
  const form = await formIn(c);
  const asks = form.get("ask");
  const isAllowed = (asks ?? form.get("allow")) === "yes";
  const machine = c.req.param("machine");
  const back =
    form.get("from") === "machine" ? `/machines/${encodeURIComponent(machine)}#approval` : "/account#approvals";
  if (isAllowed && !session.isFresh) return confirmFirst(c, back);
  const { person } = session;
  const what = asks === null ? "answer permission requests" : "put permission requests to their person in a form";
  const subject = `clients ${isAllowed ? "may" : "may not"} ${what}`;
  const user = c.env.USER.getByName(person.id);
  const shown = shownNamed(form, machine);
  const error: OperatorError | null = await (asks === null
    ? user.setRemoteApproval(shown, isAllowed, bearerOf(session))
    : user.setElicitation(shown, isAllowed, bearerOf(session)));
  if (error !== null) return accountPage(c, session, { said: { kind: "bad", text: messageOf(error) } }, 409);
  note(c.env, person.id, { kind: "machine_changed", client: "account page", machine, subject });
  if (isAllowed)
    notify(c.env, person.id, {
      type: asks === null ? "notice.approval_allowed" : "notice.forms_allowed",
      what: machine,
      by: "account page",
    });
  return c.redirect(back, 303);
});

account.post("/browsers", async (c) => {
  const { session } = c.var;
  await accountsOf(c.env).endSessions(session.person.id);
  note(c.env, session.person.id, { kind: "signed_out", client: "account page", subject: "all browsers" });
  await endSession(c, c.env);
  return c.redirect("/sign-in", 303);
});

account.post("/browsers/:id", async (c) => {
  const { session } = c.var;
  const ended = await accountsOf(c.env).endSession(session.person.id, c.req.param("id"));
  if (ended) note(c.env, session.person.id, { kind: "signed_out", client: "account page", subject: "one browser" });
  return c.redirect("/account", 303);
});

account.post("/password", async (c) => {
  const { session } = c.var;
  const form = await formIn(c);
  // Knowing the old password is a confirmation by itself. Without one there is nothing to know.
  const hasPassword = await accountsOf(c.env).hasPassword(session.person.id);
  if (!hasPassword && !session.isFresh) return confirmFirst(c, "/account");
  const [old = "", password = ""] = ["old", "password"].map((name) => String(form.get(name) ?? ""));
  const denied: Denied | null = await accountsOf(c.env).changePassword(
    session.person.id,
    old,
    password,
    session.id,
    addressOf(c.req.raw, c.env),
  );
  if (denied === null) {
    note(c.env, session.person.id, { kind: "credential_changed", client: "account page", subject: "password changed" });
    notify(c.env, session.person.id, { type: "notice.password_changed", what: "", by: "account page" });
    return accountPage(c, session, {
      said: { kind: "good", text: "Password changed. All other browsers are signed out." },
    });
  }
  const { text, status } = deniedMessageOf(denied);
  return accountPage(c, session, { said: { kind: "bad", text } }, status);
});

account.post("/passkeys/:id/name", async (c) => {
  const { session } = c.var;
  const name = String((await formIn(c)).get("name") ?? "").trim();
  // Only its person sees the name, and a hidden character in it would confuse them alone.
  if (name === "" || name.length > PASSKEY_NAME_CHARACTERS || /\p{C}/u.test(name)) {
    const text = `A passkey's name has 1 to ${PASSKEY_NAME_CHARACTERS} visible characters.`;
    return accountPage(c, session, { said: { kind: "bad", text } }, 400);
  }
  await accountsOf(c.env).renamePasskey(session.person.id, c.req.param("id"), name);
  return c.redirect("/account", 303);
});

account.post("/passkeys/:id", fresh, async (c) => {
  const { session } = c.var;
  const removed = await accountsOf(c.env).removePasskey(session.person.id, c.req.param("id"));
  if (removed) {
    note(c.env, session.person.id, { kind: "credential_changed", client: "account page", subject: "passkey removed" });
    return c.redirect("/account", 303);
  }
  return accountPage(
    c,
    session,
    { said: { kind: "bad", text: "This passkey is your only way to sign in. Set a password first." } },
    409,
  );
});

account.post("/passkey/options", fresh, async (c) => {
  const site = siteOf(c.req.url);
  if (site === null) return c.json({ message: "Passkeys need a domain name, not an IP address." }, 403);
  const accounts = accountsOf(c.env);
  const { person } = c.var.session;
  const passkeys: PasskeyRecord[] = await accounts.passkeys(person.id);
  if (passkeys.length >= MAX_PASSKEYS) {
    const message = `You have ${MAX_PASSKEYS} passkeys, the most that are possible. Remove one that you do not use.`;
    return c.json({ message }, 409);
  }
  return c.json(await accounts.passkeyToAdd(person, site));
});

account.post("/passkey", fresh, async (c) => {
  const site = siteOf(c.req.url);
  const made = Made.safeParse(await c.req.json().catch(() => null));
  if (site === null || !made.success) return c.json({ message: "The request does not contain a valid passkey." }, 400);
  const response = made.data.response as unknown as RegistrationResponseJSON; // the library checks every part of it
  const { session } = c.var;
  const { browser } = visitOf(c);
  const added = await accountsOf(c.env).addPasskey(session.person.id, session.id, response, site, browser);
  if (!added) return c.json({ message: "The passkey was not accepted." }, 400);
  note(c.env, c.var.session.person.id, {
    kind: "credential_changed",
    client: "account page",
    subject: "passkey added",
  });
  notify(c.env, c.var.session.person.id, { type: "notice.passkey_added", what: "", by: "account page" });
  return c.json({ next: "/account" });
});

account.post("/invitations", fresh, async (c) => {
  const { session } = c.var;
  if (session.person.id !== OWNER) return refuseForeignForm();
  const invited: { code: string; expiresMs: number } | null = await accountsOf(c.env).invite(session.id);
  if (invited === null) return c.redirect("/sign-in?next=%2Faccount", 303);
  const { code, expiresMs } = invited;
  note(c.env, OWNER, { kind: "user_invited", client: "account page", subject: null });
  return accountPage(c, session, { invitation: { code, link: `${c.env.ORIGIN}/invite#${code}`, expiresMs } });
});

account.post("/people/:id", fresh, async (c) => {
  const { session } = c.var;
  if (session.person.id !== OWNER) return refuseForeignForm();
  const id = c.req.param("id");
  const name = await removePerson(id, c.env);
  if (name !== null) note(c.env, OWNER, { kind: "user_removed", client: "account page", subject: name });
  return c.redirect("/account", 303);
});
