/** From the connection to the end of the request's head. A client that takes longer is slow on purpose (Slowloris). */
export const HEAD_TIMEOUT_MS = 20_000;

/** Bytes of a request's head; the same that a link carries (`MAX_HEAD_BYTES`). */
export const MAX_HEAD_BYTES = 64 * 1024;

/** Connections at once. Each costs Node some 20 KB, and every machine and every open stream holds one. */
export const MAX_CONNECTIONS = 10_000;

/** Connections at once from one address, so that a single one cannot take all. A household shares an address. */
export const MAX_CONNECTIONS_PER_ADDRESS = 1_000;

/** An idle keep-alive connection is closed after this. Proxies keep theirs for 60 s and up, and then it is theirs to close. */
export const KEEP_ALIVE_MS = 65_000;

/** workerd closes an idle connection after 5 s. A request sent at that moment is lost, so ours are closed before. */
export const UPSTREAM_IDLE_MS = 4_000;

/** A stream without a word for this long gets an SSE comment: some clients and proxies end a silent one after a minute or five. */
export const QUIET_STREAM_MS = 15_000;

/** On a shutdown, answers under way may still end for so long. */
export const DRAIN_MS = 2_000;
