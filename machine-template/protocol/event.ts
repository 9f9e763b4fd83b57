import * as z from "zod/mini";
import { EVENT_PAGE_ROWS, MAX_SESSION_ID_CHARACTERS } from "./limits.ts";

/** An event as its machine sends it. `atMs` is the machine's clock; `session` is the agent's own id of the session, if any. */
export const PushedEvent = z.object({
  atMs: z.int(),
  type: z.string().check(z.minLength(1), z.maxLength(64)),
  session: z.nullable(z.string()),
  /** Any JSON. Optional. */
  data: z.optional(z.unknown()),
});
export type PushedEvent = z.infer<typeof PushedEvent>;

/** A reader's position in one machine's log. When a log is lost and a new one started, the new one has another `epoch`. */
export const LogPosition = z.object({ epoch: z.string(), seq: z.int().check(z.nonnegative()) });
export type LogPosition = z.infer<typeof LogPosition>;

/** An event in its machine's log. `seq` increases by one. */
export const LoggedEvent = z.object({
  seq: z.int(),
  atMs: z.int(),
  type: z.string(),
  session: z.nullable(z.string()),
  data: z.unknown(),
});
export type LoggedEvent = z.infer<typeof LoggedEvent>;

/**
 * A page of one machine's log. `gap`: events after the requested position were trimmed, or the log started again. `more`:
 * there are further events already, so ask again without waiting.
 */
export const EventPage = z.object({
  events: z.array(LoggedEvent),
  position: LogPosition,
  gap: z.boolean(),
  more: z.boolean(),
});
export type EventPage = z.infer<typeof EventPage>;

/**
 * Script to owner's object: the page of the script's log after number `after`, which contains what the object does not have
 * yet. `gap`: events after `after` were trimmed before they could be pushed.
 */
export const EventPush = z.object({
  after: z.int().check(z.nonnegative()),
  events: z
    .array(
      z.object({
        seq: z.int().check(z.positive()),
        atMs: z.int(),
        type: z.string().check(z.minLength(1), z.maxLength(64)),
        session: z.nullable(z.string().check(z.maxLength(MAX_SESSION_ID_CHARACTERS))),
        data: z.unknown(),
      }),
    )
    .check(z.maxLength(EVENT_PAGE_ROWS)),
  position: z.object({ epoch: z.string().check(z.minLength(1), z.maxLength(64)), seq: z.int().check(z.nonnegative()) }),
  gap: z.boolean(),
  more: z.boolean(),
});
export type EventPush = z.infer<typeof EventPush>;

/**
 * How much a reader wants to see. `coarse` leaves out the pieces of messages that are still being written, since each message
 * follows as a whole. `deltas` includes them, for a live view.
 */
export const EventDetail = z.enum(["coarse", "deltas"]);
export type EventDetail = z.infer<typeof EventDetail>;

/** How the types of those pieces end: `message.delta`. */
export const DELTA_SUFFIX = ".delta";

/** Type of the event that replaces events which were dropped because they came too fast. Its data is `{ count }`. */
export const DROPPED_TYPE = "events.dropped";

/** Types of the events that the script itself writes into the log, about the machine's presence. */
export const PresenceType = {
  ONLINE: "machine.online",
  OFFLINE: "machine.offline",
  REPLACED: "machine.replaced",
} as const;

/** Types of the events that the script itself writes into the log, about who may be the machine's link. */
export const LinkEventType = {
  /** The link is bound to a key from now on. */
  KEY_BOUND: "link.key_bound",
  /** A dial had the machine's token and not its key. Sent at most every 10 minutes, with the number of such dials. */
  KEY_REFUSED: "link.key_refused",
  /** The machine's computer shows another key than before, on the word of a signed-in person. */
  KEY_CHANGED: "link.key_changed",
  /** Another computer took the machine's name over, on the word of a signed-in person. */
  TAKEN_OVER: "link.taken_over",
  /** A takeover or a change of the key was undone. */
  RESTORED: "link.restored",
} as const;
export type LinkEventType = (typeof LinkEventType)[keyof typeof LinkEventType];
