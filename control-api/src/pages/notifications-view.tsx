import { messageOf } from "#protocol/error.ts";
import { PUSH_SCRIPT_ASSET } from "../design/asset.ts";
import type { MachineEntry } from "../machines/machine-query.ts";
import { personPage } from "../sign-in/person-page.ts";
import type { PageContext } from "../sign-in/page-context.ts";
import { formToken } from "../sign-in/session.ts";
import type { Added } from "../webhooks/add-request.ts";
import { type Overview, type TooOften, webhooksOf } from "../webhooks/webhooks-rpc.ts";
import type { SaidOfForm, Typed } from "./receiver-card.tsx";
import { NotificationsPage } from "./notifications-page.tsx";

type Shown = {
  readonly said?: SaidOfForm;
  readonly status?: 200 | 400 | 404 | 429 | 502;
  /** A receiver that was just added. */
  readonly added?: Added;
  /** What was typed into a form that was refused. */
  readonly typed?: Typed;
};

/** The notifications page, with what became of a form that was just sent. */
export async function notificationsPage(c: PageContext, { status = 200, ...shown }: Shown = {}): Promise<Response> {
  const { session } = c.var;
  const webhooks = webhooksOf(c.env, session.person.id);
  const [key, overview, machines, csrf]: [string, Overview, MachineEntry[], string] = await Promise.all([
    webhooks.pushKey(session.person.id),
    webhooks.overview(),
    c.env.USER.getByName(session.person.id).machineEntries(),
    formToken(session),
  ]);
  const body = (
    <NotificationsPage
      csrf={csrf}
      isFresh={session.isFresh}
      pushKey={key}
      subscriptions={overview.subscriptions}
      dead={overview.dead}
      thisBrowser={`browser:${session.id}`}
      machines={machines}
      {...shown}
    />
  );
  const script = { ...PUSH_SCRIPT_ASSET, policy: "operator-push" };
  return personPage(c, { title: "Notifications", status, at: "account", script }, body);
}

/** The same page for somebody who has had too many messages sent. */
export function tooOften(c: PageContext, { afterMs }: TooOften, where: Pick<SaidOfForm, "of"> = {}): Promise<Response> {
  const text = messageOf({ code: "too_many_requests", of: "tries", afterMs });
  return notificationsPage(c, { said: { kind: "bad", text, ...where }, status: 429 });
}
