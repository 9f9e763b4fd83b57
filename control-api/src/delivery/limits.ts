const DAY_MS = 24 * 60 * 60_000;

/** How long a key stands for its call: as long as on the machine (`codez serve` keeps outcomes for a day). */
export const KEEP_MS = DAY_MS;

/** How long a queued call waits for its machine if its caller does not say: overnight, or over a day of travel. */
export const DEFAULT_QUEUE_MS = DAY_MS;
/** The longest that it may: after a week nobody expects it to happen any more. */
export const MAX_QUEUE_MS = 7 * DAY_MS;

/** Calls with a key that are remembered per person, besides those that wait. Ten an hour for a week. */
export const MAX_ROWS = 2_000;

/** What is remembered of them, in bytes. A prompt is a few KB, so this limits only calls with pictures: the newest of those are known. */
export const MAX_KEPT_BYTES = 64 * 1024 * 1024;

/** Calls that wait for one machine at once: as many prompts as one session's queue takes. */
export const MAX_WAITING = 100;

/** The arguments of calls that wait for any of a person's machines, in bytes. Thousands of prompts, or thirty of the largest calls. */
export const MAX_WAITING_BYTES = 32 * 1024 * 1024;

/**
 * The arguments of a queued call as JSON, in bytes: a long prompt with a picture, and half of what SQLite takes as one row. Larger ones can
 * only be sent to a machine that is there.
 */
export const MAX_QUEUED_BYTES = 1024 * 1024;

/** What of a machine's answer is kept for whoever asks again. `codez serve` answers these calls with a few hundred characters. */
export const MAX_ANSWER_CHARACTERS = 64 * 1024;

/** The id of a turn, by which the agent's event names it: a UUID with `codez serve`. */
export const MAX_TURN_CHARACTERS = 200;

/** One attempt: Claude Code may take a minute to start a session. Milliseconds. */
export const ATTEMPT_MS = 90_000;

/** Pause before the next attempt: from this, doubled with each, up to that. A machine that comes back is tried at once. */
export const FIRST_PAUSE_MS = 15_000;
export const LONGEST_PAUSE_MS = 10 * 60_000;
