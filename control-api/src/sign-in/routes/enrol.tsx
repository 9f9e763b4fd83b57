import type { PageApp } from "../page-context.ts";
import type { RegistrationResponseJSON } from "@simplewebauthn/server";
import { Hono } from "hono";
import * as z from "zod/mini";
import { notify } from "../../audit/notice.ts";
import type { Env } from "../../env.ts";
import { OWNER } from "../../http/caller.ts";
import type { Entered } from "../accounts/accounts-rpc.ts";
import type { Denied } from "../accounts/denied.ts";
import { accountsOf } from "../accounts/directory.ts";
import { addressOf } from "../address.ts";
import { deniedMessageOf } from "../denied-message.ts";
import { formIn } from "../form.ts";
import { EnrolPage } from "../pages/enrol-page.tsx";
import { MessagePage } from "../../design/message-page.tsx";
import { respond } from "../../design/respond.tsx";
import { isFromOwnPage } from "../same-site.ts";
import { visitOf } from "../session.ts";
import { atLocalhost, siteOf } from "../site.ts";
import { enter, noteSignIn } from "./sign-in.tsx";
import { refuseForeignForm } from "./foreign-form.tsx";

/**
 * `/claim` and `/invite`: open an account with a code. The person types the code, or script.ts fills it in from the link's fragment.
 * It is never part of a URL that is sent, where it would end up in logs.
 */
export const enrol = new Hono<PageApp>();

const AskForOptions = z.object({ code: z.string().check(z.maxLength(64)), name: z.string().check(z.maxLength(256)) });
const Made = z.object({
  response: z.looseObject({ id: z.string().check(z.maxLength(2_048)), response: z.looseObject({}) }),
});

/** Whether the claim code can be used. The program that starts Operator asks this before it prints the code. Not a secret. */
enrol.get("/api/claim", async (c) => c.json({ claimable: await accountsOf(c.env).isClaimable() }));

for (const path of ["/claim", "/invite"] as const) {
  enrol.get(path, async (c) => {
    if (path === "/claim" && !(await accountsOf(c.env).isClaimable())) {
      const page = (
        <MessagePage title="This Operator already has an owner">
          <p>
            <a href="/sign-in">Sign in</a>, or ask for an invitation.
          </p>
        </MessagePage>
      );
      return respond({ title: "Claimed", status: 404 }, page);
    }
    return respond(
      { title: path === "/claim" ? "Claim" : "Invitation" },
      <EnrolPage path={path} hasPasskeys={siteOf(c.req.url) !== null} elsewhere={atLocalhost(c.req.url)} />,
    );
  });

  enrol.post(path, async (c) => {
    if (!isFromOwnPage(c.req.raw)) return refuseForeignForm();
    const form = await formIn(c);
    const [code = "", name = "", password = ""] = ["code", "name", "password"].map((one) =>
      String(form.get(one) ?? ""),
    );
    const entered: Entered | Denied = await accountsOf(c.env).enrol(code, name, password, visitOf(c));
    if (!("denied" in entered)) {
      tellOwner(c.env, entered);
      return enter(c, entered, "/", path.slice(1));
    }
    const { text, status } = deniedMessageOf(entered);
    return respond(
      { title: "Account not created", status },
      <EnrolPage
        path={path}
        code={code}
        name={name}
        refusal={text}
        hasPasskeys={siteOf(c.req.url) !== null}
        elsewhere={atLocalhost(c.req.url)}
      />,
    );
  });

  enrol.post(`${path}/passkey/options`, async (c) => {
    const site = siteOf(c.req.url);
    if (site === null || !isFromOwnPage(c.req.raw))
      return c.json({ message: "Passkeys need a domain name and a request from this site." }, 403);
    const asked = AskForOptions.safeParse(await c.req.json().catch(() => null));
    if (!asked.success) return c.json({ message: "Enter the code and a name first." }, 400);
    const options: object | Denied = await accountsOf(c.env).enrolPasskey(
      asked.data.code,
      asked.data.name,
      site,
      addressOf(c.req.raw, c.env),
    );
    if (!("denied" in options)) return c.json(options);
    const { text, status } = deniedMessageOf(options);
    return c.json({ message: text }, status);
  });

  enrol.post(`${path}/passkey`, async (c) => {
    const site = siteOf(c.req.url);
    if (site === null || !isFromOwnPage(c.req.raw))
      return c.json({ message: "Passkeys need a domain name and a request from this site." }, 403);
    const made = Made.safeParse(await c.req.json().catch(() => null));
    if (!made.success) return c.json({ message: "The request does not contain a valid passkey." }, 400);
    const response = made.data.response as unknown as RegistrationResponseJSON; // the library checks every part of it
    const entered: Entered | Denied = await accountsOf(c.env).enrolWithPasskey(response, site, visitOf(c));
    if ("denied" in entered) {
      const { text, status } = deniedMessageOf(entered);
      return c.json({ message: text }, status);
    }
    tellOwner(c.env, entered);
    await noteSignIn(c, entered, `${path.slice(1)}, passkey`);
    return c.json({ next: "/" });
  });
}

/** Notifies the owner of each new person, and when somebody claims the account. */
function tellOwner(env: Env, { person }: Entered): void {
  const type = person.id === OWNER ? "notice.account_claimed" : "notice.invitation_used";
  notify(env, OWNER, { type, what: person.name, by: "sign-in page" });
}
