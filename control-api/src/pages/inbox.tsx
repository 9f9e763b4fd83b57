import { Hono } from "hono";
import { messageOf, type OperatorError } from "#protocol/error.ts";
import { note } from "../audit/note.ts";
import type { PageApproval } from "../machines/machine-record.ts";
import { questionsOf } from "../inbox/asked-input.ts";
import { DecisionRequest } from "../inbox/decision-request.ts";
import type { DecisionResult, InboxItem, InboxPage, Verdict } from "../inbox/inbox-item.ts";
import { formIn } from "../sign-in/form.ts";
import type { PageApp, PageContext, Session } from "../sign-in/page-context.ts";
import { sessionPath } from "./address.ts";
import { InboxPageView, type Said } from "./inbox-page.tsx";
import { respond } from "../design/respond.tsx";
import { bearerOf, confirmFirst, formToken } from "../sign-in/session.ts";
import { encodeCursor } from "../events/cursor.ts";

/** `/inbox`: a person decides what sessions wait for. Each decision is one form, and works without scripts. */
export const inbox = new Hono<PageApp>();

/** Settled requests on the page: what a person may want to look up that was decided just now. */
const SHOWN_SETTLED = 10;

inbox.get("/", (c) => page(c, c.var.session));

// What a notification opens, and where the answer to a decision is shown. Opening it decides nothing, however often and whoever does it:
// that takes a form, with the token of this session.
inbox.get("/:id", async (c) => {
  const { session } = c.var;
  const item: InboxItem | null = await c.env.USER.getByName(session.person.id).inboxItem(
    null,
    Number(c.req.param("id")),
  );
  if (item === null) return page(c, session, { kind: "bad", text: "There is no such request any more." }, 404);
  return page(c, session, undefined, 200, item);
});

inbox.post("/:id", async (c) => {
  const { session } = c.var;
  const { person } = session;
  const form = await formIn(c);
  const user = c.env.USER.getByName(person.id);
  const id = Number(c.req.param("id"));
  const item: InboxItem | null = await user.inboxItem(null, id);
  if (item === null) return page(c, session, { kind: "bad", text: "There is no such request any more." }, 404);
  // To allow something, a person must have shown a password or passkey lately. Denying it gives nobody anything.
  const verdict = verdictIn(form, item);
  if (verdict?.behavior === "allow" && !session.isFresh) return confirmFirst(c, `/inbox/${id}`);
  if (verdict === null)
    return page(c, session, { kind: "bad", text: "Answer every question, in at most 4,000 characters each." }, 400);
  const by = { via: "page", name: `${person.name}, on the inbox page`, bearer: bearerOf(session) } as const;
  const result: DecisionResult | OperatorError = await user.decide(id, verdict, by);
  const isRefused = "code" in result;
  const word =
    verdict.behavior === "deny" ? "denied" : verdict.forSession === true ? "allowed for the session" : "allowed";
  const subject = `${item.kind} ${word}`;
  const outcome = isRefused ? result.code : "ok";
  note(c.env, person.id, { kind: "permission", client: "inbox page", machine: item.machine, subject, outcome });
  if (isRefused) return page(c, session, { kind: "bad", text: messageOf(result) }, 409);
  // Not by a redirect: what became of the decision is told where it was made.
  const href = item.session === null ? {} : { href: sessionPath(item.machine, item.session) };
  return page(c, session, { kind: "good", text: saidOf(result, verdict), ...href });
});

function saidOf({ item, isFirst }: DecisionResult, { behavior, forSession }: Verdict): string {
  const isForSession = item.settled === null ? forSession : item.settled.forSession;
  const allowed = isForSession === true ? "Allowed for this session" : "Allowed";
  const word = behavior === "deny" ? "Denied" : item.kind === "question" ? "Answered" : allowed;
  if (!isFirst) return `This had the same answer already.`;
  return item.settled === null
    ? `${word}, but machine "${item.machine}" has not taken it yet. It gets your decision when it is back, if it still waits then.`
    : `${word}. Machine "${item.machine}" has taken it.`;
}

/** The decision in a form; `null` if an answer is missing or too long. */
function verdictIn(form: FormData, item: InboxItem): Verdict | null {
  const said = form.get("behavior");
  const behavior = said === "allow" || said === "allow-session" ? "allow" : "deny";
  const reason = textIn(form.get("reason"));
  const answers = behavior === "allow" && item.kind === "question" ? answersIn(form, item) : undefined;
  const verdict = DecisionRequest.safeParse({
    behavior,
    ...(reason === "" ? {} : { reason }),
    ...(answers === undefined ? {} : { answers }),
  });
  if (!verdict.success) return null;
  // Only a person allows something for a session, here, where they see the rules. REST and MCP clients cannot say it.
  return said === "allow-session" ? { ...verdict.data, forSession: true } : verdict.data;
}

/** Fields `answer-<n>` are chosen options, as many as were ticked; `other-<n>` is a text of the person's own, which then counts. */
function answersIn(form: FormData, item: InboxItem): Record<string, string> {
  return Object.fromEntries(
    questionsOf(item).map(({ question }, index) => {
      const own = textIn(form.get(`other-${index}`));
      const chosen = form.getAll(`answer-${index}`).map(textIn).join(", ");
      return [question, own === "" ? chosen : own];
    }),
  );
}

/** Browsers send line breaks as CR LF. */
function textIn(value: unknown): string {
  return typeof value === "string" ? value.replaceAll("\r\n", "\n").trim() : "";
}

async function page(
  c: PageContext,
  session: Session,
  said?: Said,
  status: 200 | 400 | 404 | 409 = 200,
  opened: InboxItem | null = null,
): Promise<Response> {
  const user = c.env.USER.getByName(session.person.id);
  const all = { visible: null, machine: null, session: null, after: null, isMixed: true } as const;
  const after = encodeCursor(await user.newestEvent());
  const [waiting, settled, count, approvals, csrf] = await Promise.all([
    user.inbox({ ...all, state: "waiting" }) as Promise<InboxPage | null>,
    user.inbox({ ...all, state: "settled" }) as Promise<InboxPage | null>,
    user.inboxCount(), // after the decision that this page answers, if it answers one
    user.limitedPageApprovals() as Promise<Map<string, PageApproval>>,
    formToken(session),
  ]);
  const body = (
    <InboxPageView
      csrf={csrf}
      isFresh={session.isFresh}
      approvals={approvals}
      waiting={waiting?.items ?? []}
      hasMore={(waiting?.next ?? null) !== null}
      settled={(settled?.items ?? []).slice(0, SHOWN_SETTLED)}
      nowMs={Date.now()}
      after={after}
      opened={opened}
      {...(said === undefined ? {} : { said })}
    />
  );
  return respond({ title: "Needs you", status, at: "overview", waiting: count }, body);
}
