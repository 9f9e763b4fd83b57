/** Enrolment keys of one person. One for each pipeline or image is usual. */
export const MAX_KEYS = 50;

/** Machines that one key may have enrolled at the same time. Each has a script, and on an Operator of one's own a process. */
export const MAX_MACHINES = 100;

/**
 * How fast machines may enrol, for all of a person's keys: a pipeline starts a matrix of jobs at once, and then one every few seconds.
 * Each enrolment uploads a script; Cloudflare's API takes four calls a second.
 */
export const ENROLMENTS = { perSecond: 0.5, burst: 30 } as const;

/** How often a person's object looks for enrolled machines that are offline, while there are any. Seconds. */
export const SWEEP_S = 60;

/**
 * An enrolled machine that was offline each time for so many times is removed, which is after five minutes. A container that is restarted
 * is back within a minute; a runner that was killed does not come back.
 */
export const MAX_SILENT_SWEEPS = 6;

/** The longest life of a key. A key that is in a pipeline's settings for longer is forgotten there. Milliseconds. */
export const MAX_LIFE_MS = 366 * 24 * 60 * 60_000;

/** The default life of a key. Milliseconds. */
export const DEFAULT_LIFE_MS = 30 * 24 * 60 * 60_000;

/** A tag is the beginning of a machine's name. Names have 32 characters, of which `-100` and more digits are kept free. */
export const MAX_TAG_CHARACTERS = 26;

/** A policy as JSON. `serve.json` is a page at most. */
export const MAX_POLICY_CHARACTERS = 16 * 1024;
