/**
 * Requests of one machine that wait at once. `codez serve` runs 8 sessions, each of which may wait for a few. Beyond this the oldest are
 * dropped here, and still wait at the machine.
 */
export const MACHINE_WAITING = 200;

/** Settled requests that are kept, so that a late answer is told who decided what, and when. Weeks of ordinary use. */
export const SETTLED_ROWS = 1_000;

/** Settled requests are trimmed in groups of this size, because finding the oldest ones reads many. */
export const TRIM_SETTLED = 50;

/** The longest that a request can wait: the maximum of `permissionTimeoutMinutes` in `codez serve`. */
export const MAX_WAIT_MS = 7 * 24 * 60 * 60_000;

/** How long a request waits whose machine does not say: the default of `permissionTimeoutMinutes`. */
export const DEFAULT_WAIT_MS = 60 * 60_000;

/** A tool's name, and the reason why approval is needed: what fits on a screen beside what is asked. */
export const MAX_TOOL_CHARACTERS = 128;
export const MAX_WHY_CHARACTERS = 2_000;

/** Answers to questions in a settlement, in characters of JSON: twenty of the largest, and the questions themselves, with what JSON escapes. */
export const MAX_ANSWERS_CHARACTERS = 256 * 1024;

/** Requests in one answer. A model or a person reads each of them. */
export const PAGE_ITEMS = 50;

/** What is asked in one answer, in characters of JSON: five of the largest requests. The next page has the others. */
export const PAGE_CHARACTERS = 256 * 1024;

/** A machine answers a decision at once. If it has not after this time, the decision is delivered again later. Milliseconds. */
export const DELIVERY_TIMEOUT_MS = 15_000;

/** Seconds until a decision is delivered again that could not be, though its machine counts as online. */
export const DELIVER_AGAIN_S = 15;
