import type { Socket } from "node:net";

/** What Cloudflare's edge does to connections. Operator's own front does not; a start for tests does. */
export type HostileEdge = {
  /** A connection on which neither side says anything for this long is cut. Milliseconds. */
  readonly silenceMs: number;
  /** Clients that name no User-Agent are refused. */
  readonly refusesNameless: boolean;
};

/** A head that is larger than this is not looked at: no client's first request to a test has one. */
const MAX_HEAD_BYTES = 64 * 1024;

const NOTHING = Buffer.alloc(0);

const REFUSAL = [
  "HTTP/1.1 403 Forbidden",
  "content-type: text/plain",
  "connection: close",
  "",
  "error code: 1010 (Browser Integrity Check: the request has no User-Agent)",
].join("\r\n");

/**
 * Refuses a client whose first request names no User-Agent, as Browser Integrity Check does, which is on by default. Later requests on
 * the same connection come from the same client, so they are not looked at.
 */
export class UserAgentCheck {
  readonly #client: Socket;
  #held: Buffer = NOTHING;
  #isDone = false;
  #isRefused = false;

  constructor(client: Socket) {
    this.#client = client;
  }

  /** What of the client's bytes so far may go on to Operator: nothing until its first request's head is complete. */
  pass(chunk: Buffer): Buffer {
    if (this.#isDone) return this.#isRefused ? NOTHING : chunk;
    this.#held = Buffer.concat([this.#held, chunk]);
    const end = this.#held.indexOf("\r\n\r\n");
    if (end === -1 && this.#held.length <= MAX_HEAD_BYTES) return NOTHING;
    this.#isDone = true;
    const held = this.#held;
    this.#held = NOTHING;
    const head = held.subarray(0, end === -1 ? held.length : end + 2).toString("latin1");
    if (/\r\nuser-agent:[ \t]*[^ \t\r]/i.test(head)) return held;
    this.#isRefused = true;
    this.#client.end(REFUSAL);
    return NOTHING;
  }
}
