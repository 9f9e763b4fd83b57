import type { Rate } from "#protocol/token-bucket.ts";

const SECOND_MS = 1_000;
const MINUTE_MS = 60 * SECOND_MS;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;

/** Subscriptions that all of a person's MCP clients have together. A client has one per thing that it watches. */
export const MAX_SUBSCRIPTIONS = 100;

/** Subscriptions made with one grant or token, so that one client cannot take all places. */
export const MAX_SUBSCRIPTIONS_PER_CLIENT = 50;

/** Webhooks that a person adds themselves. */
export const MAX_WEBHOOKS = 20;

/** Browsers that a person gets notifications in. */
export const MAX_PUSHES = 20;

/** Computers that are muted in a browser, also those that are not there now: the last ones that its person chose. A person has up to a thousand machines. */
export const MAX_MUTED = 2_000;

/** Deliveries that wait for one subscription. When there are more, its receiver learns of a gap instead. */
export const MAX_PENDING = 200;

/** The same for all of a person's. An event is at most 64 KB, so they take at most 320 MB; usually 1 KB each. */
export const MAX_PENDING_TOTAL = 5_000;

/** Deliveries that were given up, which the person can look at. */
export const MAX_DEAD = 200;
export const DEAD_AGE_MS = 7 * DAY_MS;

/** Events that a new subscription gets from before it was made. With more, it begins with the newest of them. */
export const MAX_REPLAY = MAX_PENDING;

/** Pages of the log that are read for that. */
export const MAX_REPLAY_PAGES = 20;

/** A subscription lives this long if its client does not say, and never longer than the maximum. SEP-3415 recommends up to a day. */
export const DEFAULT_TTL_MS = DAY_MS;
export const MAX_TTL_MS = 7 * DAY_MS;

/** The shortest life of a subscription, whatever its client asks: a refresh costs a request. */
export const MIN_TTL_MS = 5 * MINUTE_MS;

/**
 * The longest life of a subscription whose caller has no grant or token of ours (MCPAuthKit): nothing reports its end, so the client
 * must come back with a valid token. MCPAuthKit's tokens live an hour.
 */
export const UNTRACKED_TTL_MS = HOUR_MS;

/** For this long after a change of its secret a subscription's messages are signed with the old one too. */
export const FORMER_SECRET_MS = 5 * MINUTE_MS;

/**
 * Time for one request to a receiver, headers and body. A receiver should store the message and answer; SEP-3415 names 5 s as common.
 */
export const POST_TIMEOUT_MS = 8 * SECOND_MS;

/** What is read of a receiver's answer: only a challenge's echo is of interest. */
export const MAX_ANSWER_BYTES = 4 * 1024;

/**
 * Requests in flight at a time. Cloudflare gives one invocation six connections. Receivers that failed last time share
 * `MAX_FAILING_IN_FLIGHT` of them, so that those that hang do not stop the others.
 */
export const MAX_IN_FLIGHT = 6;
export const MAX_FAILING_IN_FLIGHT = 2;

/**
 * Pauses between the attempts to deliver an event to an MCP client: five attempts in about eleven minutes, as SEP-3415 advises. What
 * is lost then can still be read with the cursor.
 */
export const CLIENT_RETRIES_MS: readonly number[] = [5 * SECOND_MS, 30 * SECOND_MS, 2 * MINUTE_MS, 8 * MINUTE_MS];

/** The same for a person's own webhooks, which have no cursor: as long as an evening's maintenance lasts. */
export const OWN_RETRIES_MS: readonly number[] = [
  5 * SECOND_MS,
  MINUTE_MS,
  5 * MINUTE_MS,
  30 * MINUTE_MS,
  2 * HOUR_MS,
  6 * HOUR_MS,
];

/**
 * Messages that a person asks for: tests, and given-up ones once more. Somebody who looks for the mistake in a receiver tries it a few times. Without
 * a limit anybody with an account could have Operator send a stranger's server as many messages as they like. It is counted in memory, which an
 * idle object loses after a minute or two.
 */
export const TRIES: Rate = { perSecond: 1 / 20, burst: 10 };

/** A receiver that fails again and again gets at most one request in this time. Milliseconds. */
export const FAILING_PAUSE_MS = 2 * SECOND_MS;

/** Retries are spread by up to this part of their pause, so that receivers which failed together are not asked together. */
export const RETRY_JITTER = 0.2;

/** A receiver that took nothing for this long is suspended. A refresh, or a test by its person, makes it active again. */
export const SUSPEND_AFTER_MS = 3 * DAY_MS;

/** How long it is believed that a grant or token is still valid. A revocation is told at once; this is for one that was not. */
export const CREDENTIAL_CHECK_MS = MINUTE_MS;

/** Verification requests to one host per minute. A receiver with many subscriptions is verified once per URL. */
export const MAX_CHALLENGES_PER_HOST = 30;

/** Verification requests at a time, and how many hosts are remembered for the limit above. */
export const MAX_CHALLENGES = 4;
export const MAX_HOSTS = 1_000;

/** A URL was verified by its client at most this long ago; then a new subscription verifies it again. */
export const VERIFIED_AGE_MS = 7 * DAY_MS;

/** Verified URLs that are remembered: more than there can be subscriptions. With more, the oldest have to be verified again. */
export const MAX_VERIFIED = 500;

/**
 * With subscriptions, the log is read at least this often, should the news of an event have been lost twice (a deployment in the
 * middle of telling it).
 */
export const LOOK_AGAIN_MS = 15 * MINUTE_MS;

/** The alarm that takes over deliveries which were under way when the object was restarted. */
export const GUARD_MS = 30 * SECOND_MS;
