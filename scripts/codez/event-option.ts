import type { EventSource } from "../connector/index.ts";

/** Help text of `--drain-events`. */
export const DRAIN_EVENTS =
  "fetch events even from a server that gives each event to one reader only, like CodeZ; its other clients then miss them";

/**
 * The setting for events: the one on the command line, else the one `known` from before. `--no-events` sets `events` to false.
 */
export function eventsOf(
  { events, drainEvents }: { readonly events: boolean; readonly drainEvents?: boolean },
  known: EventSource,
): EventSource {
  if (!events) return false;
  return drainEvents === true ? "drain" : known;
}
