import { EVENT_LOG_BYTES, EVENT_LOG_ROWS } from "#protocol/limits.ts";

const DAY_MS = 24 * 60 * 60_000;

/**
 * The name under which Operator's own events are in the log: notices about the account (audit/notice.ts). No machine can have it, and
 * no script: it is one of the reserved names (#protocol/slug.ts).
 */
export const OPERATOR = "operator";

/** How the types of notices begin. They are for a person and not for a model at work, so only a reader who names types gets them (events/selection.ts). */
export const NOTICE_PREFIX = "notice.";

/**
 * Events of one machine in its owner's log: as many as the machine's own log holds. Ten busy hours, or weeks of ordinary use.
 */
export const MACHINE_ROWS = EVENT_LOG_ROWS;

/** Data of one machine's events, in bytes, as in the machine's own log. A machine that sends only large events keeps fewer of them. */
export const MACHINE_BYTES = EVENT_LOG_BYTES;

/**
 * Events of all of a person's machines, unless the person keeps fewer (retention.ts). At 1 KB each they take 250 MB, a fortieth of what a Durable Object may hold. Beyond it the
 * machine with the most events loses its oldest, so that a talkative machine never costs a quiet one its history.
 */
export const LOG_ROWS = 250_000;

/**
 * Data of the events of all of a person's machines, in bytes: twice what `LOG_ROWS` of 1 KB take. 1,000 machines that send only large ones
 * would exceed the 10 GB of a Durable Object, which then stores nothing more. Beyond it the machine with the most data loses its oldest.
 */
export const LOG_BYTES = 512 * 1024 * 1024;

/** Data that is deleted beyond that limit at once, because finding the oldest events reads part of the log. */
export const TRIM_BYTES = 2 * 1024 * 1024;

/** Events older than this are deleted, unless the person chose another age (retention.ts). A month is as long as people go back to look up what a session did. */
export const LOG_AGE_MS = 30 * DAY_MS;

/** Trimming deletes so many events beyond the limit at once, because finding the oldest ones reads part of the log. */
export const TRIM_ROWS = 500;

/** Events are trimmed by age at most this often, since that reads the whole log. */
export const TRIM_AGE_MS = 60 * 60_000;

/**
 * When this log was lost, a machine's log is taken again from so many numbers before its end, and not from its beginning: 1,000
 * machines with `EVENT_LOG_ROWS` each would make 20 million rows.
 */
export const FIRST_HISTORY = 1_000;

/** Former epochs that are remembered per machine. A log starts again only when the script's storage was lost. */
export const KNOWN_EPOCHS = 4;

/**
 * Sequence numbers are reserved on disk in blocks of this size. A restart skips the rest of a block, so that a number which was
 * given to something that is only in memory is never given twice.
 */
export const SEQUENCE_BLOCK = 1_000;

/** Pieces of unfinished messages that are kept per machine, in memory: about a minute of one session. */
export const LIVE_PIECES = 256;

/** Characters of one such piece. `codez serve` sends what came in a quarter of a second. */
export const LIVE_PIECE_CHARACTERS = 16 * 1024;

/**
 * All of a person's pieces, in characters, each of which may take two bytes: a quarter of an object's 128 MB at most. 16 machines that
 * stream ordinary text for a minute have a tenth of it.
 */
export const LIVE_CHARACTERS = 16 * 1024 * 1024;

/** Machines that are told that somebody watches all of them. More than 16 do not stream to one screen. */
export const LIVE_MACHINES = 16;

/** Machines of which it is in memory when they were last heard of, and how much they sent: more than a person has, at 100 bytes each. */
export const HEARD_MACHINES = 10_000;

/** A machine that has pushed within this time may have a turn in progress. Milliseconds. */
export const ACTIVE_MS = 2 * 60_000;

/** Without a cursor a reader starts this many events before the end of the log. A session's reader starts at its beginning. */
export const RECENT_EVENTS = 50;

/** How the types of Operator's own events about calls that waited begin. */
export const DELIVERY_PREFIX = "delivery.";
