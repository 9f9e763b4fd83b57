/** Version of the link's wire. A connector whose version a script does not speak is closed with `protocol_too_old`. */
export const PROTOCOL_VERSION = 1;

/** One body chunk. Small beside a WebSocket message (32 MiB at most), large beside a frame's 10-byte header. */
export const CHUNK_BYTES = 64 * 1024;

/** Bytes a sender may have under way per exchange and direction. Times `MAX_EXCHANGES` it still fits a Durable Object's 128 MB. */
export const WINDOW_BYTES = 256 * 1024;

/** A receiver gives credit back in steps of this size, so that bodies under it cost no window frame at all. */
export const WINDOW_STEP_BYTES = WINDOW_BYTES / 4;

/** One frame: a chunk, its head and room to spare. Anything larger is a broken or hostile peer. */
export const MAX_FRAME_BYTES = 1024 * 1024;

/** Method, path and headers of one exchange as JSON. Node and most proxies stop at 16 to 64 KiB of headers as well. */
export const MAX_HEAD_BYTES = 64 * 1024;

/** Exchanges open at once on one link; 256 KiB of window each makes 128 MB at the very worst. */
export const MAX_EXCHANGES = 512;

/** The connector says `ping` this often. Proxies drop idle sockets after 60 s and up. */
export const HEARTBEAT_MS = 25_000;

/** Two missed heartbeats and a little: the link is dead, whatever the socket says. */
export const LINK_SILENCE_MS = 55_000;

/**
 * A script renews its word that its machine is online this often, and looks whether it still is. Hourly wake-ups of 1,000
 * sleeping scripts stay within what Cloudflare includes; every 5 minutes they would cost 12 dollars a month.
 */
export const PRESENCE_CHECK_MS = 60 * 60_000;

/**
 * Past this without a word from its script a machine is no longer shown as online. Two renewals may be lost, or late.
 * Nearly always something contradicts earlier: the link's end, a call that fails, somebody who looks at the machine.
 */
export const PRESENCE_LEASE_MS = 2.5 * PRESENCE_CHECK_MS;

/** From the upgrade to `hello`: a socket that says nothing for so long is no connector. */
export const HELLO_TIMEOUT_MS = 10_000;

/** From the whole request to the answer's head. A tool may work for minutes before it says a word; a lost server must not hold a call for ever. */
export const RESPONSE_HEAD_TIMEOUT_MS = 15 * 60_000;

/** Reconnection: full jitter between 0.5 s and 30 s (the ceiling doubles with each failure). */
export const RECONNECT_MIN_MS = 500;
export const RECONNECT_MAX_MS = 30_000;

/** Rows one machine keeps in its event log; at 1 KB each about 20 MB of SQLite. */
export const EVENT_LOG_ROWS = 20_000;

/** Age past which an event is dropped from the log. */
export const EVENT_LOG_AGE_MS = 7 * 24 * 60 * 60_000;

/**
 * Events of one machine that its connector sends on: two sessions that stream their answers. The burst is a busy minute.
 * The log keeps `EVENT_LOG_ROWS`, so that faster ones would leave a reader who looks in every few minutes with nothing else.
 */
export const CONNECTOR_EVENT_RATE = { perSecond: 100, burst: 5_000 } as const;

/**
 * Events of one machine that its script stores. Above what a well-behaved connector sends, so that only others notice it: the
 * burst is more than the log holds, which a connector may have waiting that was offline for days.
 */
export const SCRIPT_EVENT_RATE = { perSecond: 200, burst: 25_000 } as const;

/** JSON of one event. Whoever has more to say refers to it (a session's transcript is read with `get_session`). */
export const MAX_EVENT_BYTES = 64 * 1024;

/** Events of one `event` frame. */
export const MAX_EVENTS_PER_FRAME = 100;

/** Events of one page of the log; a reader asks again for more. */
export const EVENT_PAGE_ROWS = 500;

/** Data of one page of the log, in characters of JSON; a model has to read it. */
export const EVENT_PAGE_BYTES = 256 * 1024;

/** The longest a poll for events waits. Clients and proxies give a request 30 to 60 s. */
export const POLL_MS = 25_000;

/** Why something failed, in a machine's or a server's own words: a sentence or two. More would be a way to flood its reader. */
export const MAX_REASON_CHARACTERS = 500;

/** A hostname, a version, a branch, a capability: more is nothing that a person or a model would read. */
export const MAX_FACT_CHARACTERS = 128;

/** The path of a repository or project, or a remote. Linux allows paths of 4,096 characters; people's own are far shorter. */
export const MAX_PATH_CHARACTERS = 1_024;

/** Projects in one `hello`. With the longest slugs and paths they make 256 KB, a quarter of what a frame may hold. */
export const MAX_PROJECTS = 200;

/** A project's slug: as long as a file's name on Linux. */
export const MAX_SLUG_CHARACTERS = 255;

/** Repositories that a machine tells of. `list_projects` on the machine itself has all of them. */
export const MAX_REPOS = 50;

/** Capabilities are words from a short list. */
export const MAX_CAPABILITIES = 16;

/** One machine's facts as JSON. `list_machines` shows those of every machine at once: 100 machines make 800 KB at worst. */
export const MAX_FACTS_CHARACTERS = 8 * 1024;

/** A session's id. UUIDs have 36 characters; a handle with the machine's name before it must still fit a tool's argument. */
export const MAX_SESSION_ID_CHARACTERS = 200;
