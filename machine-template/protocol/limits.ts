/** Version of the link's wire. A connector whose version a script does not speak is closed with `protocol_too_old`. */
export const PROTOCOL_VERSION = 1;

/**
 * One chunk of a body: small compared with the largest WebSocket message (32 MiB), large compared with a frame's 10-byte
 * header.
 */
export const CHUNK_BYTES = 64 * 1024;

/**
 * Bytes that a sender may have in flight per exchange and direction. Multiplied by `MAX_EXCHANGES` it takes half of a
 * Durable Object's 128 MB of memory.
 */
export const WINDOW_BYTES = 256 * 1024;

/** A receiver returns credit in steps of this size, so that smaller bodies need no window frame at all. */
export const WINDOW_STEP_BYTES = WINDOW_BYTES / 4;

/** The largest frame: a chunk, its head and a margin. A peer that sends a larger one is broken or hostile. */
export const MAX_FRAME_BYTES = 1024 * 1024;

/** Method, path and headers of one exchange as JSON. Node and most proxies accept 16 to 64 KiB of headers, too. */
export const MAX_HEAD_BYTES = 64 * 1024;

/**
 * Exchanges open at once on one link. A script holds at most one window of 256 KiB for each, for clients that read slowly: 64 MB
 * together. That is half of an isolate's 128 MB; the rest is for the code, the event log's pages and what is being parsed.
 */
export const MAX_EXCHANGES = 256;

/** How often the connector sends `ping`. Proxies drop sockets that have been idle for 60 s or more. */
export const HEARTBEAT_MS = 25_000;

/**
 * Two missed heartbeats and a margin. After that long without a message the link counts as dead, even if the socket looks
 * open.
 */
export const LINK_SILENCE_MS = 55_000;

/**
 * How often a script checks that its machine is still online and reports it again. Waking 1,000 hibernating scripts every hour
 * stays within what Cloudflare includes in the plan; every 5 minutes it would cost 12 dollars a month.
 */
export const PRESENCE_CHECK_MS = 60 * 60_000;

/**
 * A machine whose script has not reported for this long is no longer shown as online. Two reports in a row may be lost or
 * late. Usually the end is noticed much earlier: the link closes, a call fails, or somebody looks at the machine.
 */
export const PRESENCE_LEASE_MS = 2.5 * PRESENCE_CHECK_MS;

/** Time from the WebSocket upgrade to `hello`. A socket that stays silent for longer is not a connector. */
export const HELLO_TIMEOUT_MS = 10_000;

/**
 * Time from the end of the request to the head of the answer, and the longest pause in a body whose reader waits. A tool may work for minutes
 * before it answers, but a server that hangs must not hold a call indefinitely. An event stream may be silent for longer.
 */
export const RESPONSE_TIMEOUT_MS = 15 * 60_000;

/**
 * Reconnection waits a random time ("full jitter") below a ceiling that starts at 0.5 s and doubles with each failure, up to
 * 30 s.
 */
export const RECONNECT_MIN_MS = 500;
export const RECONNECT_MAX_MS = 30_000;

/** Rows in one machine's event log. At 1 KB each they take about 20 MB of SQLite. */
export const EVENT_LOG_ROWS = 20_000;

/**
 * Data of the events in one machine's log, which may be a quarter more until the log is weighed. A machine that sends only large events keeps fewer
 * of them: 20,000 of the largest would take 1.3 GB of the disk that everybody's machines share.
 */
export const EVENT_LOG_BYTES = 32 * 1024 * 1024;

/** Events older than this are deleted from the log. */
export const EVENT_LOG_AGE_MS = 7 * 24 * 60 * 60_000;

/**
 * Events that a connector sends for its machine: the rate is that of two sessions that stream their answers, the burst a busy
 * minute. The log keeps only `EVENT_LOG_ROWS`, so a faster stream would push everything else out of it before a reader who
 * polls every few minutes has seen it.
 */
export const CONNECTOR_EVENT_RATE = { perSecond: 100, burst: 5_000 } as const;

/**
 * Events that a script stores for its machine. More than a well-behaved connector sends, so that only a broken or hostile one
 * is limited. The burst is larger than the log, because a connector that was offline for days may have that many to send.
 */
export const SCRIPT_EVENT_RATE = { perSecond: 200, burst: 25_000 } as const;

/**
 * JSON of one event. Longer content is not put into an event: a session's transcript, for example, is read with `get_session`.
 */
export const MAX_EVENT_BYTES = 64 * 1024;

/**
 * Levels of arrays and objects in one event's data. What a tool was called with has ten. The many parts that data passes on its way to its readers
 * fail at some thousands, each at another number, and SQLite at 1,000.
 */
export const MAX_EVENT_LEVELS = 100;

/**
 * The last number in a connector's sequence of events: at a thousand a second it lasts 142,000 years, and numbers that follow are still
 * exact. A file or a peer that claims a larger one is damaged or hostile.
 */
export const MAX_SEQUENCE = 2 ** 52;

/** Events of one `event` frame. */
export const MAX_EVENTS_PER_FRAME = 100;

/** Events in one page of the log. */
export const EVENT_PAGE_ROWS = 500;

/** Data in one page of the log, in characters of JSON. A model may have to read all of it. */
export const EVENT_PAGE_BYTES = 256 * 1024;

/**
 * A script pushes new events at most this often. A push costs a request to the owner's object, and people and models do not
 * notice a quarter of a second.
 */
export const PUSH_INTERVAL_MS = 250;

/**
 * A report with its push: a page of events, whose JSON may be a little larger than `EVENT_PAGE_BYTES`, the largest single event,
 * and the machine's facts.
 */
export const MAX_REPORT_BYTES = 1024 * 1024;

/**
 * Of a log from before events were pushed, only so many of the newest are pushed. A person's 1,000 machines may have `EVENT_LOG_ROWS`
 * each, and every row that their owner's object writes is billed.
 */
export const FIRST_PUSHED_ROWS = 1_000;

/**
 * When a log is continued by another script, its numbers leap ahead by this many. The old script may still store and push events
 * until its link is closed, and no number may stand for two events.
 */
export const MOVED_LOG_LEAP = 1_000;

/**
 * How long a script goes on pushing the pieces of unfinished messages after it was last told that somebody watches. A watcher's
 * poll repeats the request at least every `POLL_MS`.
 */
export const LIVE_MS = 60_000;

/** The longest a poll for events waits. Clients and proxies give a request 30 to 60 s. */
export const POLL_MS = 25_000;

/**
 * A failure's reason in a machine's or server's own words: a sentence or two. A longer one could flood the model that reads
 * it.
 */
export const MAX_REASON_CHARACTERS = 500;

/** A hostname, a version, a branch or a capability. Nobody reads longer ones. */
export const MAX_FACT_CHARACTERS = 128;

/** The path of a repository or project, or a remote. Linux allows paths of 4,096 characters; people's own are far shorter. */
export const MAX_PATH_CHARACTERS = 1_024;

/** Projects in one `hello`. With the longest slugs and paths they make 256 KB, a quarter of what a frame may hold. */
export const MAX_PROJECTS = 200;

/** A project's slug: as long as a file's name on Linux. */
export const MAX_SLUG_CHARACTERS = 255;

/** Repositories in a machine's facts. `list_projects` on the machine itself lists all of them. */
export const MAX_REPOS = 50;

/** Capabilities are words from a short list. */
export const MAX_CAPABILITIES = 16;

/** One machine's facts as JSON. `list_machines` shows those of every machine at once: 100 machines make 800 KB at worst. */
export const MAX_FACTS_CHARACTERS = 8 * 1024;

/** A session's id. UUIDs have 36 characters; a handle with the machine's name before it must still fit a tool's argument. */
export const MAX_SESSION_ID_CHARACTERS = 200;
