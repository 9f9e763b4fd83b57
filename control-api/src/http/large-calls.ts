import type { OperatorError } from "#protocol/error.ts";
import type { Caller } from "./caller.ts";
import { onClientLeft } from "./client-left.ts";
import { HeldBodies, type HoldLimits, type NoBody } from "./held-bodies.ts";

/** Up to this size a call's body is not counted: a thousand of them, all that a person's clients have open at once, take 64 MB. Bytes. */
const SMALL_BYTES = 64 * 1024;

const MB = 1024 * 1024;

export type LargeCallLimits = {
  readonly reading: HoldLimits;
  /** Bytes of the bodies of one person's calls that are being made, and of all. */
  readonly perUser: number;
  readonly total: number;
};

/**
 * What callers with a valid token can make this isolate hold with large calls. It has 128 MB on Cloudflare, and a call takes up to five
 * times its body while it is read and passed on, so the largest one (16 MB) must find room, and not many more at once.
 *
 * - While a body arrives: 20 MB for each token, 40 MB together. A body has a minute, and then must arrive at 8 KB/s. The oldest makes room.
 * - While its call is made, which may take an hour: 20 MB for each person, 40 MB together. That is five photos on their way. A further one is
 *   refused and can be sent again, because nothing that runs may be ended for it.
 */
const LIMITS: LargeCallLimits = {
  reading: { perAddress: 20 * MB, total: 40 * MB, graceMs: 60_000, bytesPerMs: 8, checkMs: 1_000 },
  perUser: 20 * MB,
  total: 40 * MB,
};

/** What of a caller its bodies are counted under. */
export type Sends = Pick<Caller, "user" | "client" | "credential">;

/** There is no room for this call now. */
export type NoRoom = { readonly missing: "no_room" };

/** Bodies of calls from callers who are known, in this isolate's memory. */
export class LargeCalls {
  readonly #limits: LargeCallLimits;
  readonly #reading: HeldBodies;
  readonly #ofUser = new Map<string, number>();
  #total = 0;

  constructor(limits: LargeCallLimits = LIMITS) {
    this.#limits = limits;
    this.#reading = new HeldBodies(limits.reading);
  }

  /** Bytes of bodies that are counted now, arriving or in calls that are being made. */
  get counted(): number {
    return this.#reading.total + this.#total;
  }

  /**
   * Reads a call's body and counts it until the call has ended.
   * @param limit bytes of the largest body that is accepted
   */
  async read(request: Request, limit: number, caller: Sends): Promise<HeldCall | NoBody> {
    // The runtime does not let a body have another length than its header says.
    const length = Number(request.headers.get("content-length") ?? Number.NaN);
    if (length > limit) return { missing: "too_large" };
    if (length <= SMALL_BYTES) return new HeldCall(new Uint8Array(await request.arrayBuffer()), () => undefined);
    const { user, client, credential = client } = caller;
    const sender = { address: `${user} ${credential}`, network: user, share: 1 };
    // With its length known, a body takes no more room than it has bytes, and one piece of it that is being read.
    const bytes = await this.#reading.read(request, Number.isNaN(length) ? limit : length, sender);
    const call = "missing" in bytes ? bytes : this.#hold(user, bytes);
    if (call instanceof HeldCall) onClientLeft(request, () => call.abandon());
    return call;
  }

  #hold(user: string, bytes: Uint8Array<ArrayBuffer>): HeldCall | NoRoom {
    const { length } = bytes;
    if (length <= SMALL_BYTES) return new HeldCall(bytes, () => undefined);
    const ofUser = (this.#ofUser.get(user) ?? 0) + length;
    if (ofUser > this.#limits.perUser || this.#total + length > this.#limits.total) return { missing: "no_room" };
    this.#ofUser.set(user, ofUser);
    this.#total += length;
    return new HeldCall(bytes, () => {
      const left = (this.#ofUser.get(user) ?? 0) - length;
      if (left > 0) this.#ofUser.set(user, left);
      else this.#ofUser.delete(user);
      this.#total -= length;
    });
  }
}

/** A call's body, which counts for as long as somebody uses it: whoever reads it first, and then what it started. */
export class HeldCall {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly #release: () => void;
  #users = 1;
  #isReleased = false;

  constructor(bytes: Uint8Array<ArrayBuffer>, release: () => void) {
    this.bytes = bytes;
    this.#release = release;
  }

  /** Counts the body until `work` has ended. It must begin before `[Symbol.dispose]`. */
  async during<Result>(work: () => Promise<Result>): Promise<Result> {
    this.#users += 1;
    try {
      return await work();
    } finally {
      this[Symbol.dispose]();
    }
  }

  /** Ends the use by the reader of the body. To be called once. */
  [Symbol.dispose](): void {
    this.#users -= 1;
    if (this.#users === 0) this.abandon();
  }

  /** Ends every use at once. The client has left, so that those who use the body will not say when they have ended. */
  abandon(): void {
    if (this.#isReleased) return;
    this.#isReleased = true;
    this.#release();
  }
}

/** Milliseconds after which there is likely to be room for a large call again. */
const ROOM_AFTER_MS = 5_000;

/** Why a call was refused whose body was not read as a whole. */
export function missingBody({ missing }: NoBody): OperatorError {
  switch (missing) {
    case "no_room":
      return { code: "too_many_requests", of: "large_calls", afterMs: ROOM_AFTER_MS };
    case "too_large":
      return { code: "invalid_request", reason: "The request's body is too large." };
    case "too_slow":
      return { code: "invalid_request", reason: "The request's body took too long to arrive. Send it again." };
    case "gone":
      return { code: "invalid_request", reason: "The request's body broke off." };
  }
}

/** Those of this isolate. */
export const largeCalls = new LargeCalls();
