import * as z from "zod/mini";
import { MAX_SESSION_ID_CHARACTERS } from "#protocol/limits.ts";
import { isMachineName } from "#protocol/slug.ts";
import { parseSessionHandle } from "../machines/session-handle.ts";
import type { EventType } from "./event-type.ts";
import { EventsFailure } from "./events-error.ts";

/** A handle is a machine's name (32 characters), a slash and the session's id. */
const MAX_HANDLE_CHARACTERS = MAX_SESSION_ID_CHARACTERS + 64;

/** The arguments of every event type; `session` only of those that concern one. */
const Arguments = z.strictObject({
  machineId: z.optional(z.string()),
  session: z.optional(z.string().check(z.maxLength(MAX_HANDLE_CHARACTERS))),
});

/** What a subscription listens for. `machine: null` is all that its caller may see; `session` is a handle. */
export type SubscriptionFilter = { readonly machine: string | null; readonly session: string | null };

/** The filter in a subscription's arguments. Throws `EventsFailure` invalid_params. */
export function filterOf(type: EventType, args: unknown): SubscriptionFilter {
  const filter = parseFilter(args);
  if (filter.session !== null && !type.isOfSession)
    return invalid(`${type.name} concerns no session; leave session out.`);
  return filter;
}

/** The same for several event types. An event that concerns no session does not pass a filter with one. */
export function parseFilter(args: unknown): SubscriptionFilter {
  const parsed = Arguments.safeParse(args ?? {});
  if (!parsed.success) return invalid("arguments may be machineId, a machine's name, and session, a session's handle.");
  const { machineId = null, session = null } = parsed.data;
  if (machineId !== null && !isMachineName(machineId)) return invalid("machineId is not a machine's name.");
  if (session === null) return { machine: machineId, session };
  const { machine } = parseSessionHandle(session);
  if (machine === null) return invalid("session must be a handle <machine>/<id>, as the tools answer it.");
  if (machineId !== null && machineId !== machine)
    return invalid(`The session is on machine "${machine}", not on "${machineId}". Leave machineId out.`);
  return { machine, session };
}

/** Whether an event is one that the filter lets pass, for a reader who may see `visible` machines (`null`: all). */
export function passes(
  { machine, session }: SubscriptionFilter,
  visible: readonly string[] | null,
  event: { readonly machine: string; readonly session: string | null },
): boolean {
  if (visible?.includes(event.machine) === false) return false;
  return (machine === null || machine === event.machine) && (session === null || session === event.session);
}

/** Arguments as JSON with the keys in a fixed order, so that equal arguments give equal text (SEP-3415, "Key composition"). */
export function canonicalArguments(args: unknown): string {
  const { machineId, session } = Arguments.parse(args ?? {});
  return JSON.stringify({ machineId, session });
}

function invalid(reason: string): never {
  throw new EventsFailure({ code: "invalid_params", reason });
}
