import * as z from "zod/mini";
import { MAX_SESSION_ID_CHARACTERS } from "#protocol/limits.ts";
import { isMachineName } from "#protocol/slug.ts";
import type { Identified } from "../http/shown-machine.ts";
import { parseSessionHandle, sessionHandle } from "../machines/session-handle.ts";
import type { EventType } from "./event-type.ts";
import { EventsFailure } from "./events-error.ts";

/** A handle is a machine's name (32 characters), a slash and the session's id. */
const MAX_HANDLE_CHARACTERS = MAX_SESSION_ID_CHARACTERS + 64;

/** The arguments of every event type; `session` only of those that concern one. */
const Arguments = z.strictObject({
  machineId: z.optional(z.string()),
  session: z.optional(z.string().check(z.maxLength(MAX_HANDLE_CHARACTERS))),
});

/** What somebody asks to hear of. `machine: null` is all that they may see; `session` is a handle. */
export type AskedFilter = { readonly machine: string | null; readonly session: string | null };

/**
 * What a subscription listens for: the machine is the computer that had the name when it was asked for. Another computer that gets the name
 * is another machine; the same one with another name is the same.
 */
export type SubscriptionFilter = { readonly machine: Identified | null; readonly session: string | null };

/** The filter in a subscription's arguments. Throws `EventsFailure` invalid_params. */
export function filterOf(type: EventType, args: unknown): AskedFilter {
  const filter = parseFilter(args);
  if (filter.session !== null && !type.isOfSession)
    return invalid(`${type.name} concerns no session; leave session out.`);
  return filter;
}

/** The same for several event types. An event that concerns no session does not pass a filter with one. */
export function parseFilter(args: unknown): AskedFilter {
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

/** Of an entry of the log (event-feed.ts), what limits look at. */
export type PlacedEvent = { readonly event: { readonly session: string | null }; readonly identity: string | null };

/** Whether an event is one that the filter lets pass. */
export function passes({ machine, session }: SubscriptionFilter, { event, identity }: PlacedEvent): boolean {
  if (machine === null) return true;
  if (machine.identity !== identity) return false;
  return session === null || (event.session !== null && idIn(session) === idIn(event.session));
}

/** A filter as its person sees it, with the name that the machine has now. */
export function shownFilter({ session }: SubscriptionFilter, name: string | null): AskedFilter {
  return { machine: name, session: name === null || session === null ? null : sessionHandle(name, idIn(session)) };
}

/** The machine's own id of a session, which stays the same when the machine gets another name. */
function idIn(handle: string): string {
  return parseSessionHandle(handle).session;
}

/** Arguments as JSON with the keys in a fixed order, so that equal arguments give equal text (SEP-3415, "Key composition"). */
export function canonicalArguments(args: unknown): string {
  const { machineId, session } = Arguments.parse(args ?? {});
  return JSON.stringify({ machineId, session });
}

function invalid(reason: string): never {
  throw new EventsFailure({ code: "invalid_params", reason });
}
