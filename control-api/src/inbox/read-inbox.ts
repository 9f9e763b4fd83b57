import { OperatorFailure } from "#protocol/error.ts";
import type { Caller } from "../http/caller.ts";
import { parseSessionHandle } from "../machines/session-handle.ts";
import type { InboxPage, InboxQuery } from "./inbox-item.ts";
import { inboxView } from "./inbox-view.ts";

type InboxBindings = {
  readonly ORIGIN: string;
  readonly USER: {
    getByName(user: string): { inbox(query: InboxQuery): InboxPage | null | Promise<InboxPage | null> };
  };
};

/** What a caller may ask for, unchecked. */
type Asked = Readonly<Record<"machine" | "session" | "state" | "cursor", unknown>>;

/** Throws `OperatorFailure` invalid_request. */
export function inboxQueryOf(caller: Caller, { machine, session, state = "waiting", cursor }: Asked): InboxQuery {
  const handle = session === undefined ? null : parseSessionHandle(String(session));
  if (state !== "waiting" && state !== "settled") throw invalid("state must be waiting or settled.");
  if (cursor !== undefined && !/^\d{1,15}$/.test(String(cursor))) throw invalid("This is not a cursor of the inbox.");
  const name = handle?.machine ?? (machine === undefined ? null : String(machine));
  if (handle !== null && name === null) throw invalid("A session needs its machine: use the handle `<machine>/<id>`.");
  return {
    visible: caller.computers,
    machine: name,
    session: handle?.session ?? null,
    state,
    after: cursor === undefined ? null : Number(cursor),
  };
}

/** Reads the inbox of a caller's person. No machine is asked. Throws `OperatorFailure` machine_unknown. */
export async function readInbox(
  env: InboxBindings,
  { user }: Caller,
  query: InboxQuery,
): Promise<Record<string, unknown>> {
  const page: InboxPage | null = await env.USER.getByName(user).inbox(query);
  if (page === null) throw new OperatorFailure({ code: "machine_unknown", machine: query.machine ?? "" });
  const nowMs = Date.now();
  return {
    pending: page.items.map((item) => inboxView(item, nowMs)),
    cursor: page.next === null ? null : String(page.next),
    answer_at: `${env.ORIGIN}/inbox`,
  };
}

function invalid(reason: string): OperatorFailure {
  return new OperatorFailure({ code: "invalid_request", reason });
}
