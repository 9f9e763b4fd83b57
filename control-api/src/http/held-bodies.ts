import { BodyReader } from "#protocol/body-reader.ts";
import { onClientLeft } from "./client-left.ts";
import { GrowingBytes } from "./growing-bytes.ts";

/**
 * Who sends a body: the key under which limits count a client, and the network around it. `share` is 1, or how many people stand behind an
 * address that is not known (sign-in/address.ts).
 */
export type Sender = { readonly address: string; readonly network: string; readonly share: number };

export type HoldLimits = {
  /** Bytes that the unfinished bodies of one address may take together. */
  readonly perAddress: number;
  /** Bytes that all unfinished bodies may take together. */
  readonly total: number;
  /** A body may take this long, and then as much longer as its bytes take at `bytesPerMs`. */
  readonly graceMs: number;
  readonly bytesPerMs: number;
  /** How often a body is looked at whose sender is silent. */
  readonly checkMs: number;
};

/**
 * What strangers can make this isolate hold.
 *
 * - An address: four of the largest bodies at once. An honest one is complete within a second, so even an office holds less.
 * - All together: a quarter of an isolate's 128 MB.
 * - Time: 20 s, which a phone on a poor connection needs to begin, and from then on 8 KB/s. The largest body has two minutes and a half.
 */
const LIMITS: HoldLimits = {
  perAddress: 4 * 1024 * 1024,
  total: 32 * 1024 * 1024,
  graceMs: 20_000,
  bytesPerMs: 8,
  checkMs: 1_000,
};

/** The first room for a body. It counts from the start, so that many that send nothing are limited as well. Bytes. */
const FIRST_ROOM_BYTES = 4 * 1024;

/** Why there is no body: it is larger than its limit, its sender is too slow or has gone, or others needed the room. */
export type NoBody = { readonly missing: "too_large" | "too_slow" | "gone" | "no_room" };

/**
 * Bodies that are being read before anybody knows who sends them, in this isolate's memory.
 *
 * Reading a body means holding it, and its sender decides how long that takes. So there is a time for each, a limit for the bodies of an address,
 * and one for all. Where a limit is reached, the body that has taken longest makes room: the oldest of that address, or, for the limit of all, the
 * oldest in the network that holds most. Refusing the newest instead would let somebody who is slow on purpose lock everybody else out.
 */
export class HeldBodies {
  readonly #limits: HoldLimits;
  /** The oldest first. */
  readonly #held = new Set<HeldBody>();
  readonly #ofAddress = new Map<string, number>();
  readonly #ofNetwork = new Map<string, number>();
  #total = 0;

  constructor(limits: HoldLimits = LIMITS) {
    this.#limits = limits;
  }

  /** Bytes that are held now. */
  get total(): number {
    return this.#total;
  }

  /** A body's bytes, at most `limit` of them. What is not read of it is cancelled. */
  async read(request: Request, limit: number, sender: Sender): Promise<Uint8Array<ArrayBuffer> | NoBody> {
    const { body } = request;
    if (body === null) return new Uint8Array();
    const { graceMs, bytesPerMs, checkMs } = this.#limits;
    const untilMs = Date.now() + graceMs;
    const held = new HeldBody(sender);
    this.#held.add(held);
    this.#count(held, FIRST_ROOM_BYTES);
    onClientLeft(request, () => this.#giveUp(held));
    const reader = new BodyReader(body);
    let look: () => void = () => undefined;
    const looks = setInterval(() => look(), checkMs);
    let isRead = false;
    try {
      for (let arriving = reader.read(); ;) {
        // Nothing but this loop touches the body. A request of another client that needs the room only takes the bytes (`#makeRoom`).
        const arrived = await Promise.race([
          arriving,
          new Promise<"silent">((resolve) => (look = () => resolve("silent"))),
        ]);
        if (held.isGivenUp) return { missing: "no_room" };
        if (arrived === null) {
          isRead = true;
          return held.bytes;
        }
        if (Date.now() > untilMs + held.length / bytesPerMs) return { missing: "too_slow" };
        if (arrived === "silent") continue;
        if (held.length + arrived.byteLength > limit) return { missing: "too_large" };
        this.#count(held, held.add(arrived, limit, reader.roomBytes));
        if (held.isGivenUp) return { missing: "no_room" };
        arriving = reader.read();
      }
    } catch {
      return { missing: "gone" }; // the sender broke off
    } finally {
      clearInterval(looks);
      this.#forget(held);
      if (!isRead) void reader.cancel().catch(() => undefined); // the sender may have gone, and then there is nothing to cancel
    }
  }

  /** Counts what a body takes more than before, and makes room for it. */
  #count(held: HeldBody, bytes: number): void {
    const { address, network, share } = held.sender;
    this.#add(held, bytes);
    const { perAddress, total } = this.#limits;
    while ((this.#ofAddress.get(address) ?? 0) > perAddress * share)
      this.#makeRoom(({ sender }) => sender.address === address);
    while (this.#total > total) {
      const [most = network] = [...this.#ofNetwork].reduce((one, other) => (other[1] > one[1] ? other : one));
      this.#makeRoom(({ sender }) => sender.network === most);
    }
  }

  /** Gives up the oldest of these bodies. Its reader learns of it with its next bytes, or when it looks. */
  #makeRoom(isChosen: (held: HeldBody) => boolean): void {
    for (const held of this.#held) if (isChosen(held)) return this.#giveUp(held);
  }

  /** Drops a body that is still being read. One that was read already belongs to its reader. */
  #giveUp(held: HeldBody): void {
    if (!this.#held.has(held)) return;
    this.#forget(held);
    held.giveUp();
  }

  #forget(held: HeldBody): void {
    if (!this.#held.delete(held)) return;
    this.#add(held, -held.counted);
  }

  #add(held: HeldBody, bytes: number): void {
    const { address, network } = held.sender;
    held.counted += bytes;
    this.#total += bytes;
    change(this.#ofAddress, address, bytes);
    change(this.#ofNetwork, network, bytes);
  }
}

class HeldBody {
  readonly sender: Sender;
  /** What is counted for it. */
  counted = 0;
  isGivenUp = false;
  readonly #read = new GrowingBytes();

  constructor(sender: Sender) {
    this.sender = sender;
  }

  get length(): number {
    return this.#read.length;
  }

  get bytes(): Uint8Array<ArrayBuffer> {
    return this.#read.bytes;
  }

  /**
   * Answers by how much the room has grown beyond what is counted.
   * @param beside the room for what comes next
   */
  add(chunk: Uint8Array, limit: number, beside: number): number {
    this.#read.add(chunk, limit);
    return Math.max(0, this.#read.capacity + beside - this.counted);
  }

  giveUp(): void {
    this.isGivenUp = true;
    this.#read.clear();
  }
}

function change(counts: Map<string, number>, key: string, by: number): void {
  const now = (counts.get(key) ?? 0) + by;
  if (now > 0) counts.set(key, now);
  else counts.delete(key);
}

/** Those of this isolate. */
export const heldBodies = new HeldBodies();
