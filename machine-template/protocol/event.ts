import * as z from "zod/mini";

/** An event as its machine sends it. `atMs` is the machine's clock; `session` is the agent's own id of the session, if any. */
export const PushedEvent = z.object({
  atMs: z.int(),
  type: z.string().check(z.minLength(1), z.maxLength(64)),
  session: z.nullable(z.string()),
  /** Any JSON; an event that has no more to say may leave it out. */
  data: z.optional(z.unknown()),
});
export type PushedEvent = z.infer<typeof PushedEvent>;

/** Where one machine's log was read up to. A log that was lost and begun anew has another `epoch`. */
export const LogPosition = z.object({ epoch: z.string(), seq: z.int().check(z.nonnegative()) });
export type LogPosition = z.infer<typeof LogPosition>;

/** An event as it stands in its machine's log. `seq` rises by one. */
export const LoggedEvent = z.object({
  seq: z.int(),
  atMs: z.int(),
  type: z.string(),
  session: z.nullable(z.string()),
  data: z.unknown(),
});
export type LoggedEvent = z.infer<typeof LoggedEvent>;

/** A page of one machine's log. `gap`: events after the asked position were trimmed, or the log was begun anew. `more`: ask again at once. */
export const EventPage = z.object({
  events: z.array(LoggedEvent),
  position: LogPosition,
  gap: z.boolean(),
  more: z.boolean(),
});
export type EventPage = z.infer<typeof EventPage>;

/** Stands where events were dropped because they came too fast. Its data is `{ count }`. */
export const DROPPED_TYPE = "events.dropped";

/** Presence, as events of the log's own. */
export const PresenceType = {
  ONLINE: "machine.online",
  OFFLINE: "machine.offline",
  REPLACED: "machine.replaced",
} as const;
