import { noteWithin } from "#protocol/keep-within.ts";
import { type Rate, TokenBucket } from "#protocol/token-bucket.ts";

/**
 * Uploads to machines that dial in with an older template. After a deployment all links drop, so all machines dial in within a minute.
 * Cloudflare's API takes 1,200 requests in five minutes and then none at all for a while, not even registrations. An upload is two
 * requests: this makes at most 780 of them in five minutes. Most people have fewer machines than the burst, which are upgraded at once.
 */
const RATE: Rate = { perSecond: 1.2, burst: 30 };

/** Time between two looks at those that wait. Seconds. */
const STEP_S = 5;

/** Looks at a machine that waits and has a call in progress: five minutes. After that it gets its template at its next dial. */
const MOST_LOOKS = 60;

/**
 * Shortest time between two automatic upgrades of one machine's script. While two versions of Operator run during a deployment, each
 * would otherwise replace the other's upload again and again. Milliseconds.
 */
const AGAIN_MS = 10 * 60_000;

/** Machines whose last upgrade is in memory: more than a person has. Names come and go with machines that enrol by themselves. */
const REMEMBERED = 10_000;

export type UpgradePorts = {
  now(): number;
  /** Whether machines get this Operator's template outside of a rollout. */
  isAllowed(): boolean;
  upgrade(name: string): Promise<void>;
  /** Whether a call is in progress on the machine. */
  isBusy(name: string): Promise<boolean>;
  /** Has `step` called after this time. */
  wakeIn(seconds: number): void;
};

/**
 * Gives machines that dial in with an older template the current one: at once if few do, and in turn if many do. An upload drops the
 * link. Just after a dial that interrupts nobody; later, only machines without a call in progress have their turn. Who waits is kept
 * in memory: after a restart of this object they are upgraded at their next dial.
 */
export class Upgrades {
  readonly #ports: UpgradePorts;
  readonly #bucket: TokenBucket;
  readonly #attemptedMs = new Map<string, number>();
  /** By name, how often they were looked at. */
  readonly #waiting = new Map<string, number>();

  constructor(ports: UpgradePorts) {
    this.#ports = ports;
    this.#bucket = new TokenBucket(RATE, ports.now());
  }

  /** A machine with an older template has dialled in. Resolves when its upload is made, or when it has been put in line. */
  async dialled(name: string): Promise<void> {
    const nowMs = this.#ports.now();
    if (this.#waiting.has(name) || nowMs - (this.#attemptedMs.get(name) ?? -AGAIN_MS) < AGAIN_MS) return;
    if (this.#waiting.size === 0 && this.#bucket.take(nowMs) === 0) return this.#upgrade(name);
    this.#waiting.set(name, 0);
    if (this.#waiting.size === 1) this.#ports.wakeIn(STEP_S);
  }

  /** Upgrades those whose turn it is. */
  async step(): Promise<void> {
    if (!this.#ports.isAllowed()) this.#waiting.clear(); // a rollout decides now
    const due = [...this.#waiting].slice(0, this.#bucket.takeUpTo(this.#waiting.size, this.#ports.now()));
    for (const [name] of due) this.#waiting.delete(name);
    await Promise.all(due.map(([name, looks]) => this.#upgradeIfIdle(name, looks)));
    if (this.#waiting.size > 0) this.#ports.wakeIn(STEP_S);
  }

  async #upgradeIfIdle(name: string, looks: number): Promise<void> {
    if (!(await this.#ports.isBusy(name))) return this.#upgrade(name);
    this.#bucket.giveBack();
    if (looks < MOST_LOOKS) this.#waiting.set(name, looks + 1); // at the end of the line
  }

  async #upgrade(name: string): Promise<void> {
    noteWithin(this.#attemptedMs, REMEMBERED, name, this.#ports.now());
    await this.#ports.upgrade(name);
  }
}
