import { OperatorFailure } from "#protocol/error.ts";
import { EventDetail } from "#protocol/event.ts";
import type { EventQuery } from "../history/event-query.ts";
import { NOTICE_PREFIX } from "../history/limits.ts";
import type { Caller } from "../http/caller.ts";
import { mayAdminister } from "../http/scope.ts";
import { parseSessionHandle } from "../machines/session-handle.ts";

/** Which events a reader wants. */
export type Selection = Pick<EventQuery, "visible" | "machine" | "session" | "project" | "types" | "notices">;

/** What a caller may ask for, unchecked. */
export type Asked = Readonly<Record<"machine" | "session" | "project" | "type", unknown>>;

/** The longest event type has 64 characters; `*` at the end stands for anything that follows. */
const TYPE = /^[\w.:/-]{1,64}\*?$/;

/** Types in one filter. There are about 30 types. */
const MAX_TYPES = 20;

/**
 * Resolves what a caller asked for: `machine` is a name; `session` is a handle `<machine>/<id>`, or a bare id together with a machine;
 * `type` is a list of types with commas in between. Whether the machine exists is found out by reading.
 *
 * Notices are about tokens, apps and addresses. They are for the person who administers the account: a model at work, with the scope that every
 * MCP client asks for, should not learn from where its person signs in, or whether its own token was noticed.
 *
 * Throws `OperatorFailure`: invalid_request; forbidden for notices that the caller may not read.
 */
export function selectionOf(caller: Caller, asked: Asked): Selection {
  const machine = textOf(asked.machine, "machine must be a machine's name, as a string.");
  const session = textOf(asked.session, "session must be a session handle, as a string.");
  const project = textOf(asked.project, "project must be a project's slug, as a string.");
  const handle = session === null ? null : parseSessionHandle(session);
  const ofHandle = handle?.machine ?? null;
  if (ofHandle !== null && machine !== null && ofHandle !== machine)
    invalid(`The session is on machine "${ofHandle}", not on "${machine}". Leave the machine out.`);
  const name = ofHandle ?? machine;
  if (name === null && handle !== null)
    invalid("A session id without a machine is ambiguous. Pass the machine too, or use the handle `<machine>/<id>`.");
  const types = typesOf(asked.type);
  const notices = mayAdminister(caller.scopes) && caller.machines === null;
  if (!notices && types?.some((type) => type.startsWith(NOTICE_PREFIX)) === true)
    throw new OperatorFailure({
      code: "forbidden",
      reason: "Notices are about the account. Reading them needs a token with the scope operator:admin.",
    });
  return { visible: caller.computers, machine: name, session: handle?.session ?? null, project, types, notices };
}

/** The detail that a caller asked for; `coarse` when it did not say. Throws `OperatorFailure` invalid_request. */
export function eventDetailOf(asked: unknown): EventDetail {
  const detail = EventDetail.safeParse(asked ?? "coarse");
  return detail.success ? detail.data : invalid('detail must be "coarse" or "deltas".');
}

function typesOf(asked: unknown): string[] | null {
  const text = textOf(asked, "type must be event types with commas in between, as a string.");
  if (text === null) return null;
  const types = text.split(",").map((type) => type.trim());
  if (types.length > MAX_TYPES || !types.every((type) => TYPE.test(type)))
    invalid(`type must be up to ${MAX_TYPES} event types with commas in between, such as "permission.*,session.idle".`);
  return types;
}

function textOf(asked: unknown, otherwise: string): string | null {
  if (asked === undefined || asked === null) return null;
  return typeof asked === "string" ? asked : invalid(otherwise);
}

function invalid(reason: string): never {
  throw new OperatorFailure({ code: "invalid_request", reason });
}
