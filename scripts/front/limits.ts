import type { Rate } from "#protocol/token-bucket.ts";

/**
 * For the TLS handshake; then from there to the first request's head, and for each head from its first byte to its last. A client that
 * takes longer is slow on purpose (Slowloris).
 */
export const HEAD_TIMEOUT_MS = 20_000;

/**
 * Size of a head in bytes, both ways: twice the limit of a link (`MAX_HEAD_BYTES` of the protocol). So a call with too many headers
 * reaches the link's own limit first, whose error says what was too large under the call's id.
 */
export const MAX_HEAD_BYTES = 128 * 1024;

/** Connections at once. Each takes about 20 KB in Node, and every machine and every open stream has one. */
export const MAX_CONNECTIONS = 10_000;

/**
 * Connections at once from one address (of IPv6 a /64 network, as everywhere here), so that one address cannot take all. It is not lower because a
 * household shares an address.
 */
export const MAX_CONNECTIONS_PER_ADDRESS = 1_000;

/**
 * New connections of one address: the burst is as many as it may have at once, since after a restart every browser and machine of a household
 * comes back together. In the long run a client without keep-alive that calls 50 times a second, which is the limit of its token, stays below it. A
 * TLS handshake takes about a millisecond of the one thread that the front has, so an address can use a twentieth of it.
 */
export const CONNECTS: Rate = { perSecond: 50, burst: MAX_CONNECTIONS_PER_ADDRESS };

/**
 * Requests of one address, in the long run four times what one token may send (sign-in/admission.ts), and in a burst twice: the agents of a
 * household stay far below it. Strangers' requests cost the gate some 0.3 ms each.
 */
export const REQUESTS: Rate = { perSecond: 200, burst: 6_000 };

/**
 * Requests that an address leaves before their answer is complete, by cancelling them or by closing their connection. The gate has begun them all
 * the same ("rapid reset", CVE-2023-44487), on a connection that cannot be used again, so they cost several times as much as others. A browser
 * leaves a few dozen when its person goes to another page, and a laptop that loses its network leaves all that it has.
 */
export const CANCELS: Rate = { perSecond: 20, burst: 300 };

/** Addresses that are remembered for these rates, some 300 bytes each. With more, the one that came first begins anew. */
export const MAX_RATED_ADDRESSES = 20_000;

/**
 * Requests at once on one HTTP/2 connection. Browsers and proxies use far fewer; 100 is what Cloudflare and nginx (128) allow. Without a limit,
 * one connection could have as many requests as ten thousand HTTP/1.1 connections.
 */
export const MAX_STREAMS = 100;

/**
 * Requests of one HTTP/2 connection that its client may cancel: so many at once, and so many a second in the long run. Then the connection ends. Node
 * counts these itself, before any of our code runs, and its own limit is ten times as high. `CANCELS` limits what all connections of an address cancel.
 */
export const RESET_BURST = 100;
export const RESETS_PER_SECOND = 10;

/**
 * Requests at once from one address, however many connections they share. Each takes a connection to the gate, of which the operating
 * system allows some ten thousand. It is as many as over HTTP/1.1, where each connection has one.
 */
export const MAX_REQUESTS_PER_ADDRESS = MAX_CONNECTIONS_PER_ADDRESS;

/** A client with too many requests at once is told to try again after this. Milliseconds. */
export const BUSY_MS = 1_000;

/**
 * A WebSocket that is no machine's link: the greeting of `/api/health`, which says a word to everybody and closes. A client that does not close it as
 * well would hold its connection for as long as it likes. Milliseconds.
 */
export const GREETING_MS = 10_000;

/**
 * A body may take this long, and then as much longer as its bytes take at 8 KB/s. So the largest call (16 MB) has half an hour, over the worst
 * of mobile networks, and a client that sends a byte now and then has a minute. Milliseconds; bytes per millisecond.
 */
export const BODY_TIME_MS = 60_000;
export const BODY_BYTES_PER_MS = 8;

/** A body that is not complete after this long is slow. Nearly all take less than a second. Milliseconds. */
export const BODY_LOOK_MS = 5_000;

/**
 * Slow bodies at once from one address. Each holds a connection to the gate, and whatever the gate has read of it. A household may have some
 * phones that upload photos; a thousand are an attack.
 */
export const MAX_SLOW_BODIES_PER_ADDRESS = 50;

/** A client that was refused has this long to read why, then its connection is cut. It cannot keep the connection open. */
export const LINGER_MS = 1_000;

/**
 * An idle keep-alive connection is closed after this. Proxies close theirs after 60 s. The proxy must be first: if the front
 * closed a connection just as the proxy reuses it, that request would fail.
 */
export const KEEP_ALIVE_MS = 65_000;

/** workerd closes an idle connection after 5 s. A request sent at that moment would be lost, so the front closes it earlier. */
export const UPSTREAM_IDLE_MS = 4_000;

/** A stream that is silent for this long gets an SSE comment. Many proxies end a silent stream after 60 s, Node clients after 300 s. */
export const QUIET_STREAM_MS = 15_000;

/** On shutdown, running answers have this long to finish. */
export const DRAIN_MS = 2_000;
