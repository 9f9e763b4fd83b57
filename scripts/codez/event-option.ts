import type { EventSource } from "../connector/index.ts";

/** What `--drain-events` says of itself in the help of the commands that take it. */
export const DRAIN_EVENTS =
  "fetch events even from a server that hands each to one reader only, as CodeZ does; its other clients then miss them";

/** What the options say of events, over what is `known` from before. `--no-events` sets `events` to false. */
export function eventsOf(
  { events, drainEvents }: { readonly events: boolean; readonly drainEvents?: boolean },
  known: EventSource,
): EventSource {
  if (!events) return false;
  return drainEvents === true ? "drain" : known;
}
