import { waitUntil } from "cloudflare:workers";

/**
 * A notice: an event that a person should learn of without asking, because somebody else may have caused it. `what` names what it is about: a
 * token's label, a machine, an address, a client. `by` names who did it: a client, a token or a page. Neither holds a secret.
 */
export type Notice = {
  readonly type:
    | "notice.token_created"
    | "notice.app_allowed"
    | "notice.computer_approved"
    | "notice.machine_added"
    | "notice.machine_replaced"
    | "notice.server_changed"
    | "notice.sign_in_from_new_address"
    | "notice.passkey_added"
    | "notice.password_changed"
    | "notice.invitation_used"
    | "notice.account_claimed"
    | "notice.approval_allowed"
    | "notice.forms_allowed"
    | "notice.limit_reached";
  readonly what: string;
  readonly by: string;
};

/** A notice as it is stored. `id` increases with time; `atMs` is in milliseconds since 1970. */
export type NoticeRecord = Notice & { readonly id: number; readonly atMs: number };

/** The notice as an event of the person's log. */
export function eventOf({ id, atMs, ...notice }: NoticeRecord) {
  const { type, what, by } = notice;
  return { seq: id, atMs, type, session: null, data: { what, by, text: sentenceOf(notice) } };
}

export type NoticeBindings = {
  readonly USER: { getByName(user: string): { notify(notice: Notice): Promise<void> } };
};

/**
 * Tells a person something. They read it on the account page and as an event. Whoever caused it does not wait for that, and it does
 * not fail because of it: the audit log has the same fact.
 */
export function notify(env: NoticeBindings, user: string, notice: Notice): void {
  waitUntil(
    env.USER.getByName(user)
      .notify(notice)
      .catch((reason: unknown) =>
        console.error("a notice was lost", { user, type: notice.type, reason: String(reason) }),
      ),
  );
}

/** The notice as a sentence. Names that others chose are in quotation marks. */
export function sentenceOf({ type, what, by }: Notice): string {
  switch (type) {
    case "notice.token_created":
      return `An access token "${what}" was made by "${by}".`;
    case "notice.app_allowed":
      return `The app "${what}" was allowed to use your machines.`;
    case "notice.computer_approved":
      return `The program "${what}" was paired, at the request of ${by}.`;
    case "notice.machine_added":
      return `The machine ${what} was added by "${by}".`;
    case "notice.machine_replaced":
      return `Another computer took over the name of the machine ${what}, by "${by}".`;
    case "notice.server_changed":
      return `The hosted server ${what} was changed by "${by}".`;
    case "notice.sign_in_from_new_address":
      return `Somebody signed in as you from ${what}, which is new, with ${by}.`;
    case "notice.passkey_added":
      return "A passkey was added.";
    case "notice.password_changed":
      return "The password was changed.";
    case "notice.invitation_used":
      return `"${what}" used an invitation.`;
    case "notice.account_claimed":
      return `The account was claimed with a new claim code, as "${what}".`;
    case "notice.approval_allowed":
      return `Apps and tokens may answer permission requests of the machine ${what} now.`;
    case "notice.forms_allowed":
      return `Apps may show permission requests of the machine ${what} in forms of their own now, and pass the answers on.`;
    case "notice.limit_reached":
      return `"${by}" reached a limit again and again: ${what}.`;
  }
}
