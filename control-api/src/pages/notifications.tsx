import { Hono } from "hono";
import * as z from "zod/mini";
import { messageOf, type OperatorError } from "#protocol/error.ts";
import { note } from "../audit/note.ts";
import { shownAs } from "../http/shown-machine.ts";
import type { MachineEntry } from "../machines/machine-query.ts";
import { PUSH_TOPICS, type PushChoice, type PushSettings } from "../push/push-settings.ts";
import { formIn } from "../sign-in/form.ts";
import type { PageApp, PageContext } from "../sign-in/page-context.ts";
import { visitOf } from "../sign-in/session.ts";
import type { Posted } from "../webhooks/post.ts";
import { registryOf } from "../user/user-rpc.ts";
import { type Overview, type TooOften, webhooksOf } from "../webhooks/webhooks-rpc.ts";
import { notificationsPage, tooOften } from "./notifications-view.tsx";
import { FAULTS } from "./receiver-card.tsx";
import { receivers } from "./receivers.tsx";

/** `/notifications`: the browsers in which a person is told what happens, and of what. */
export const notifications = new Hono<PageApp>();

/** How the audit log names this page. */
const CLIENT = "notifications page";

/** The longest address and keys that are read. Real ones have 200 and 90 characters. */
const MAX_ENDPOINT_CHARACTERS = 2_048;
const MAX_KEY_CHARACTERS = 200;

/** What the script sends: `PushSubscription.toJSON()`, and the browser's time zone. */
const Subscribed = z.object({
  endpoint: z.string().check(z.maxLength(MAX_ENDPOINT_CHARACTERS)),
  keys: z.object({
    p256dh: z.string().check(z.maxLength(MAX_KEY_CHARACTERS)),
    auth: z.string().check(z.maxLength(MAX_KEY_CHARACTERS)),
  }),
  zone: z.string().check(z.maxLength(64)),
});

const GONE = { kind: "bad", text: "This browser gets no notifications any more." } as const;

notifications.get("/", (c) => notificationsPage(c));

notifications.route("/receivers", receivers);

notifications.post("/browser", async (c) => {
  const { person, id } = c.var.session;
  const asked = Subscribed.safeParse(await c.req.json().catch(() => null));
  if (!asked.success) return c.json({ message: "The browser's subscription is not complete." }, 400);
  const { browser } = visitOf(c);
  const added: { id: string } | OperatorError = await webhooksOf(c.env, person.id).addPush({
    user: person.id,
    credential: `browser:${id}`,
    browser,
    ...asked.data,
  });
  if ("code" in added) return c.json({ message: messageOf(added) }, 400);
  note(c.env, person.id, { kind: "webhook_added", client: CLIENT, subject: `notifications in ${browser}` });
  return c.json({ next: "/notifications" });
});

notifications.post("/:id", async (c) => {
  const { person } = c.var.session;
  const form = await formIn(c);
  const known = await pushOf(c);
  if (known === null) return notificationsPage(c, { said: GONE, status: 404 });
  const types = PUSH_TOPICS.filter(({ name }) => form.has(`topic-${name}`)).flatMap((topic) => [...topic.types]);
  const machines: MachineEntry[] = await registryOf(c.env, person.id).machineEntries();
  // Those that the page showed, each with its computer. Another one may have a name since.
  const offered = new Set(String(form.get("offered") ?? "").split(" "));
  const ticked = new Set(form.getAll("machine"));
  const shown = machines.filter((machine) => offered.has(shownAs(machine)));
  const muted = shown.filter((machine) => !ticked.has(shownAs(machine)));
  const choice: PushChoice = {
    muted: identitiesOf(muted),
    heard: identitiesOf(shown.filter((machine) => !muted.includes(machine))),
    mutedNames: muted.flatMap(({ name, identity }) => (identity === "" ? name : [])),
    quiet: quietIn(form),
    showsContent: form.has("content"),
  };
  await webhooksOf(c.env, person.id).choosePush(known.id, types, choice);
  return notificationsPage(c, { said: { kind: "good", text: "Saved." } });
});

notifications.post("/:id/remove", async (c) => {
  const { person } = c.var.session;
  const known = await pushOf(c);
  if (known !== null) {
    await webhooksOf(c.env, person.id).remove(known.id);
    note(c.env, person.id, {
      kind: "webhook_removed",
      client: CLIENT,
      subject: `notifications in ${known.push.browser}`,
    });
  }
  return c.redirect("/notifications", 303);
});

notifications.post("/:id/test", async (c) => {
  const known = await pushOf(c);
  const posted: Posted | TooOften | null =
    known === null ? null : await webhooksOf(c.env, c.var.session.person.id).tryOut(known.id);
  if (posted === null) return notificationsPage(c, { said: GONE, status: 404 });
  if ("afterMs" in posted) return tooOften(c, posted);
  if (posted.ok) return notificationsPage(c, { said: { kind: "good", text: "Sent. It arrives in a moment." } });
  const text = `The browser's push service did not take it: ${FAULTS[posted.fault]}. Turn notifications off and on again in that browser.`;
  return notificationsPage(c, { said: { kind: "bad", text }, status: 502 });
});

// A form's answer has the form's address, and may be opened again later: in a tab that was put away, or from a bookmark.
notifications.get("/*", (c) => c.redirect("/notifications", 303));

/** Those that are known. */
function identitiesOf(machines: readonly MachineEntry[]): string[] {
  return machines.flatMap(({ identity }) => (identity === "" ? [] : identity));
}

/** The browser in the path, if it is one of this person's. */
async function pushOf(c: PageContext): Promise<{ readonly id: string; readonly push: PushSettings } | null> {
  const { subscriptions }: Overview = await webhooksOf(c.env, c.var.session.person.id).overview();
  const found = subscriptions.find((one) => one.id === c.req.param("id"));
  return found?.push == null ? null : { id: found.id, push: found.push };
}

/** Two fields of `type=time`, as `HH:MM`. Without both there are no quiet hours. */
function quietIn(form: FormData): PushSettings["quiet"] {
  const [from, until] = ["from", "until"].map((name) => minutesIn(form.get(name)));
  return from == null || until == null || from === until ? null : { from, until };
}

function minutesIn(text: unknown): number | null {
  const [, hours, minutes] = /^([01]\d|2[0-3]):([0-5]\d)/.exec(typeof text === "string" ? text : "") ?? [];
  return hours === undefined || minutes === undefined ? null : Number(hours) * 60 + Number(minutes);
}
