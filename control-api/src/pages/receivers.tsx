import { Hono } from "hono";
import { messageOf, type OperatorError } from "#protocol/error.ts";
import { note } from "../audit/note.ts";
import { shownIn, whyUnknown } from "../http/shown-machine.ts";
import { PUSH_TOPICS } from "../push/push-settings.ts";
import { formIn } from "../sign-in/form.ts";
import type { PageApp, PageContext } from "../sign-in/page-context.ts";
import { bearerOf, confirmFirst } from "../sign-in/session.ts";
import type { Added, AddRequest } from "../webhooks/add-request.ts";
import type { Posted } from "../webhooks/post.ts";
import { isTopicUrl } from "../webhooks/topic-url.ts";
import { type Overview, type TooOften, webhooksOf } from "../webhooks/webhooks-rpc.ts";
import { notificationsPage, tooOften } from "./notifications-view.tsx";
import { FAULTS } from "./receiver-card.tsx";
import { meantBy } from "./shown.ts";

/** `/notifications/receivers`: topics of ntfy, webhooks, and what MCP clients are subscribed to. */
export const receivers = new Hono<PageApp>();

/** How the audit log names this page. */
const CLIENT = "notifications page";

/** What is said of a form here stands beside it, and not at the top of the page. */
const OF = "receivers";

receivers.post("/", async (c) => {
  const { person, isFresh } = c.var.session;
  // What is added here gets what sessions say from then on. So it takes more than an unlocked phone that somebody found.
  if (!isFresh) return confirmFirst(c, "/notifications#add");
  const form = await formIn(c);
  const typed = {
    url: String(form.get("url") ?? "").trim(),
    kind: form.get("kind") === "webhook" ? "webhook" : "ntfy",
    topics: PUSH_TOPICS.map(({ name }) => name).filter((name) => form.has(`tell-${name}`)),
    isAll: form.has("all"),
    machine: String(form.get("machine") ?? ""),
  } as const;
  const refuse = (text: string) => notificationsPage(c, { said: { kind: "bad", text, of: OF }, typed, status: 400 });
  if (typed.kind === "ntfy" && !isTopicUrl(typed.url))
    return refuse("The address of a topic ends with its name, such as https://ntfy.sh/my-topic.");
  const types = PUSH_TOPICS.filter(({ name }) => typed.topics.includes(name)).flatMap((topic) => [...topic.types]);
  if (types.length === 0 && !typed.isAll) return refuse("Choose at least one thing to be told of.");
  const [shown] = shownIn(form);
  // A choice that cannot be read must not become a receiver for all machines.
  if (shown === undefined && typed.machine !== "") return refuse("There is no such machine any more.");
  const meant = shown === undefined ? null : await meantBy(c, shown);
  if (meant !== null && "code" in meant) return refuse(messageOf(meant));
  if (meant?.identity === "") return refuse(whyUnknown(meant.name));
  const request: AddRequest = {
    user: person.id,
    client: CLIENT,
    // It belongs to the person and not to the browser that they happened to use, so it stays when that one is signed out.
    credential: null,
    by: bearerOf(c.var.session),
    kind: typed.kind,
    url: typed.url,
    types: typed.isAll ? null : types,
    filter: { machine: meant === null ? null : { name: meant.name, identity: meant.identity }, session: null },
  };
  const added: Added | OperatorError = await webhooksOf(c.env, person.id).add(request);
  if ("code" in added) return refuse(messageOf(added));
  note(c.env, person.id, { kind: "webhook_added", client: CLIENT, subject: new URL(added.url).origin });
  // Not by a redirect: the secret is shown once, here.
  return notificationsPage(c, {
    said: { kind: "good", text: "Added. Send it a test to see that it arrives.", of: OF },
    added,
  });
});

receivers.post("/:id/test", async (c) => {
  const known = await knownIn(c);
  if (known === null) return unknown(c);
  const posted: Posted | TooOften | null = await webhooksOf(c.env, c.var.session.person.id).tryOut(known.id);
  if (posted === null) return unknown(c);
  if ("afterMs" in posted) return tooOften(c, posted, { of: OF });
  if (posted.ok)
    return notificationsPage(c, { said: { kind: "good", text: "The receiver took the test message.", of: OF } });
  const text = `The receiver did not take the test message: ${FAULTS[posted.fault]}.`;
  return notificationsPage(c, { said: { kind: "bad", text, of: OF }, status: 502 });
});

receivers.post("/:id/retry", async (c) => {
  const known = await knownIn(c);
  const retried: number | TooOften | null =
    known === null ? null : await webhooksOf(c.env, c.var.session.person.id).retry(known.id);
  if (retried === null) return unknown(c);
  if (typeof retried !== "number") return tooOften(c, retried, { of: OF });
  const text = `${retried} ${retried === 1 ? "message is" : "messages are"} sent again.`;
  return notificationsPage(c, { said: { kind: "good", text, of: OF } });
});

receivers.post("/:id/remove", async (c) => {
  const { person } = c.var.session;
  const known = await knownIn(c);
  const url: string | null = known === null ? null : await webhooksOf(c.env, person.id).remove(known.id);
  if (url !== null) note(c.env, person.id, { kind: "webhook_removed", client: CLIENT, subject: new URL(url).origin });
  return c.redirect("/notifications#receivers", 303);
});

/** The receiver in the path, if it is one of this person's, and no browser, which has routes of its own. */
async function knownIn(c: PageContext): Promise<Overview["subscriptions"][number] | null> {
  const { subscriptions }: Overview = await webhooksOf(c.env, c.var.session.person.id).overview();
  return subscriptions.find(({ id, push }) => id === c.req.param("id") && push === null) ?? null;
}

function unknown(c: PageContext): Promise<Response> {
  return notificationsPage(c, { said: { kind: "bad", text: "This receiver was removed.", of: OF }, status: 404 });
}
