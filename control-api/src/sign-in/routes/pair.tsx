import type { PageApp, PageContext, Session } from "../page-context.ts";
import { Hono } from "hono";
import { note } from "../../audit/note.ts";
import { notify } from "../../audit/notice.ts";
import { accountsOf } from "../accounts/directory.ts";
import type { DeviceRequest } from "../accounts/devices.ts";
import type { Limit } from "../accounts/limits.ts";
import { formIn } from "../form.ts";
import { MessagePage } from "../../design/message-page.tsx";
import { PairPage } from "../pages/pair-page.tsx";
import { respond } from "../../design/respond.tsx";
import { isFromOwnPage } from "../same-site.ts";
import { knownScopes } from "../../http/scope.ts";
import { confirmFirst, formToken, isFormToken, sessionOf } from "../session.ts";
import { refuseForeignForm } from "./foreign-form.tsx";

/** Codes that one person may try: enough for typing mistakes, far too few to guess somebody else's (RFC 8628 section 5.1). */
const TRIES: Limit = { times: 10, windowMs: 10 * 60_000 };

const UNKNOWN = "No computer is waiting with this code. It may have expired: codes are valid for ten minutes.";

/** `/pair`: a person approves a device that has no browser (RFC 8628 section 3.3). */
export const pair = new Hono<PageApp>();

pair.get("/", async (c) => {
  const session = await sessionOf(c);
  const code = c.req.query("code") ?? "";
  if (session === null) {
    const next = code === "" ? "/pair" : `/pair?${new URLSearchParams({ code })}`;
    return c.redirect(`/sign-in?${new URLSearchParams({ next })}`, 303);
  }
  if (code === "") return page(c, session, {});
  return look(c, session, code);
});

pair.post("/", async (c) => {
  const session = await sessionOf(c);
  if (session === null) return c.redirect("/sign-in?next=%2Fpair", 303);
  const form = await formIn(c);
  if (!isFromOwnPage(c.req.raw) || !(await isFormToken(form.get("csrf"), session))) return refuseForeignForm();
  const code = String(form.get("code") ?? "");
  const decision = form.get("decision");
  if (decision !== "allow" && decision !== "deny") return look(c, session, code);
  const { person } = session;
  // To deny is always possible: it gives nobody anything.
  if (decision === "allow" && !session.isFresh) return confirmFirst(c, `/pair?${new URLSearchParams({ code })}`);
  const decided: DeviceRequest | null = await accountsOf(c.env).decideDevice(code, person.id, decision === "allow");
  if (decided === null) return page(c, session, { refusal: UNKNOWN });
  // This browser may have been signed out since the request was let in, and what it approved withdrawn before this.
  if ((await sessionOf(c)) === null) {
    await accountsOf(c.env).withdrawDevices(person.id);
    return c.redirect("/sign-in?next=%2Fpair", 303);
  }
  if (decision === "deny") {
    note(c.env, person.id, { kind: "grant", client: decided.clientName, subject: decided.audience, outcome: "denied" });
    return respond(
      { title: "Denied" },
      <MessagePage title="Denied">The computer gets no access. You can close this page.</MessagePage>,
    );
  }
  notify(c.env, person.id, { type: "notice.computer_approved", what: decided.clientName, by: decided.place });
  const done = (
    <MessagePage title="Approved">
      <p>The computer continues by itself within seconds. You can close this page.</p>
    </MessagePage>
  );
  return respond({ title: "Approved" }, done);
});

/** Shows the request that belongs to a code. Each look-up counts as an attempt, since it tells whether a code exists. */
async function look(c: PageContext, session: Session, code: string): Promise<Response> {
  const waitMs = await accountsOf(c.env).take(`pair:${session.person.id}`, TRIES);
  if (waitMs > 0) return page(c, session, { refusal: `Too many codes. Wait ${Math.ceil(waitMs / 60_000)} min.` }, 429);
  const asked: DeviceRequest | null = await accountsOf(c.env).askedByDevice(code);
  return asked === null ? page(c, session, { refusal: UNKNOWN }, 404) : page(c, session, { code, asked });
}

async function page(
  c: PageContext,
  session: Session,
  state: { refusal?: string; code?: string; asked?: DeviceRequest },
  status: 200 | 404 | 429 = 200,
): Promise<Response> {
  const { asked, ...rest } = state;
  const shown =
    asked === undefined
      ? {}
      : { asked: { client: asked.clientName, place: asked.place, scopes: knownScopes(asked.scope) } };
  const body = <PairPage csrf={await formToken(session)} person={session.person.name} {...rest} {...shown} />;
  return respond({ title: "Pair a computer", status }, body);
}
