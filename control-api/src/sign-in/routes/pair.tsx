import type { PageApp, PageContext, Session } from "../page-context.ts";
import { Hono } from "hono";
import { note } from "../../audit/note.ts";
import { notify } from "../../audit/notice.ts";
import { accountsOf } from "../accounts/directory.ts";
import type { Denied } from "../accounts/denied.ts";
import type { DeviceRequest } from "../accounts/devices.ts";
import { formIn } from "../form.ts";
import { MessagePage } from "../../design/message-page.tsx";
import { PairPage } from "../pages/pair-page.tsx";
import { respond } from "../../design/respond.tsx";
import { isFromOwnPage } from "../same-site.ts";
import { knownScopes } from "../../http/scope.ts";
import { confirmFirst, formToken, isFormToken, sessionOf } from "../session.ts";
import { refuseForeignForm } from "./foreign-form.tsx";

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
  const decided: DeviceRequest | Denied | null = await accountsOf(c.env).decideDevice(
    code,
    person.id,
    session.id,
    decision === "allow",
  );
  // This browser may have been signed out since the request was let in.
  if (decided === null && (await sessionOf(c)) === null) return c.redirect("/sign-in?next=%2Fpair", 303);
  if (decided === null) return page(c, session, { refusal: UNKNOWN });
  if ("denied" in decided) return tooMany(c, session, decided);
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

/** Shows the request that belongs to a code. */
async function look(c: PageContext, session: Session, code: string): Promise<Response> {
  const asked: DeviceRequest | Denied | null = await accountsOf(c.env).askedByDevice(code, session.person.id);
  if (asked === null) return page(c, session, { refusal: UNKNOWN }, 404);
  return "denied" in asked ? tooMany(c, session, asked) : page(c, session, { code, asked });
}

function tooMany(c: PageContext, session: Session, { afterMs = 0 }: Denied): Promise<Response> {
  return page(c, session, { refusal: `Too many codes. Wait ${Math.ceil(afterMs / 60_000)} min.` }, 429);
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
