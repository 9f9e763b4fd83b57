import { randomUUID } from "node:crypto";
import { CloseCode, isFatal } from "#protocol/close-code.ts";
import type { Facts } from "#protocol/control.ts";
import { PROTOCOL_VERSION } from "#protocol/limits.ts";
import { systemClock, wait, type Clock } from "./clock.ts";
import type { Spool } from "./event-sender.ts";
import { Link, type LinkEnd } from "./link.ts";
import { Redial } from "./redial.ts";
import type { Target } from "./target.ts";

/**
 * For so long a refused token is tried again before the connector gives up: what a rotation writes (the new token on this
 * disk, its hash at the script) need not be everywhere in the same second.
 */
export const REFUSAL_GRACE_MS = 10_000;

/** Waits while refused stay below this, so that a new token on disk is soon seen. */
const REFUSED_RETRY_MS = 1_000;

/** A wait that took so much longer than asked means that this computer slept. Timers are late by far less under any load. */
const SLEPT_MS = 10_000;

const NORMAL_CLOSURE = 1000;

/** Codes with which the other side says that it restarts. The last two are WebSocket's own: going away, service restart. */
const PLANNED_CODES: ReadonlySet<number> = new Set([CloseCode.RESTARTING, 1001, 1012]);

export type Credentials = { readonly linkUrl: string; readonly token: string };

/** Why a connector stopped for good. */
export type Stopped =
  | { reason: "stopped" }
  /** The token is not, or no longer, this machine's. */
  | { reason: "refused" }
  | { reason: "revoked"; message: string }
  /** Another connector of this machine took over. */
  | { reason: "replaced"; message: string }
  /** The connector speaks an older protocol than its Operator. */
  | { reason: "protocol_too_old"; message: string }
  /** The connector speaks a newer protocol than its Operator. */
  | { reason: "protocol_too_new"; message: string };

export type ConnectorListener = {
  online?(epoch: number): void;
  /** Not online (any more): why, and how long until the next dial. */
  offline?(reason: string, retryInMs: number): void;
};

export type ConnectorOptions = {
  /** Read before each dial, so that what was renewed in the meantime is used. */
  readonly credentials: () => Promise<Credentials>;
  /** The machine has a new name: what `credentials` answers from now on leads there. */
  readonly renamed: (name: string) => Promise<void>;
  readonly facts: () => Facts;
  readonly target: Target;
  readonly spool: Spool;
  readonly listener?: ConnectorListener;
  /** How long a refused token is tried again; `REFUSAL_GRACE_MS` unless said otherwise. */
  readonly refusalGraceMs?: number;
  readonly clock?: Clock;
  /** In [0, 1). */
  readonly random?: () => number;
};

/** Keeps one machine's link up until it is stopped, or told for good that it is not wanted. */
export class Connector {
  readonly #options: ConnectorOptions;
  readonly #clock: Clock;
  readonly #stopping = new AbortController();
  /** Tells this process from any other that has the same event stream. */
  readonly #id = randomUUID();
  #dials = 0;
  #link: Link | null = null;

  constructor(options: ConnectorOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
  }

  /** Dials until it is over. Rejects only when `credentials` or `renamed` do. */
  async run(): Promise<Stopped> {
    const { random = Math.random, refusalGraceMs = REFUSAL_GRACE_MS } = this.#options;
    const redial = new Redial(this.#clock.nowMs(), random);
    let refusal: { sinceMs: number; token: string; stopped: Stopped } | null = null;
    while (!this.#stopping.signal.aborted) {
      const credentials = await this.#options.credentials();
      if (refusal !== null && refusal.token !== credentials.token) refusal = null;
      const { end, onlineForMs } = await this.#dial(credentials);
      if (this.#stopping.signal.aborted) break;
      if (onlineForMs !== null) refusal = null;
      const waitMs = redial.waitMs({ onlineForMs, wasPlanned: isPlanned(end) }, this.#clock.nowMs());
      if (end.kind === "closed" && end.code === CloseCode.RENAMED) {
        await this.#options.renamed(end.reason);
        await this.#wait(waitMs, redial); // two names that point at each other must not make a tight loop
        continue;
      }
      const verdict = verdictOf(end);
      if (verdict !== null && !isRefusal(verdict)) return verdict;
      if (verdict !== null) {
        refusal ??= { sinceMs: this.#clock.nowMs(), token: credentials.token, stopped: verdict };
        if (this.#clock.nowMs() - refusal.sinceMs >= refusalGraceMs) return refusal.stopped;
      }
      const retryInMs = Math.min(waitMs, verdict === null ? Infinity : REFUSED_RETRY_MS);
      this.#options.listener?.offline?.(describe(end), retryInMs);
      await this.#wait(retryInMs, redial);
    }
    return { reason: "stopped" };
  }

  /** Ends the link and the dialling; `run` resolves soon after. */
  stop(reason: string): void {
    this.#stopping.abort();
    this.#link?.close(NORMAL_CLOSURE, reason);
  }

  /** The machine's facts have changed. */
  announce(): void {
    this.#link?.announce(this.#options.facts());
  }

  /** There are new events in the spool. */
  sendEvents(): void {
    this.#link?.sendEvents();
  }

  /** Waits before the next dial. After a sleep the network is another one, and a long wait that began before it says nothing. */
  async #wait(ms: number, redial: Redial): Promise<void> {
    const dueMs = this.#clock.nowMs() + ms;
    await wait(this.#clock, ms, this.#stopping.signal);
    if (this.#clock.nowMs() - dueMs > SLEPT_MS) redial.restart(this.#clock.nowMs());
  }

  async #dial({ linkUrl, token }: Credentials): Promise<{ end: LinkEnd; onlineForMs: number | null }> {
    if (this.#stopping.signal.aborted) return { end: { kind: "unreachable", reason: "stopped" }, onlineForMs: null };
    let onlineMs: number | null = null;
    const { facts, target, spool, listener } = this.#options;
    this.#dials += 1;
    this.#link = new Link({
      url: linkUrl,
      token,
      facts: facts(),
      dial: { connector: this.#id, start: spool.start, number: this.#dials },
      target,
      spool,
      clock: this.#clock,
      onWelcome: (epoch) => {
        onlineMs = this.#clock.nowMs();
        listener?.online?.(epoch);
      },
    });
    const end = await this.#link.ended;
    this.#link = null;
    return { end, onlineForMs: onlineMs === null ? null : this.#clock.nowMs() - onlineMs };
  }
}

/** Whether this end is for good; `null`: dial again. */
function verdictOf(end: LinkEnd): Stopped | null {
  if (end.kind === "refused") return { reason: "refused" };
  if (end.kind !== "closed" || !isFatal(end.code)) return null;
  switch (end.code) {
    case CloseCode.REVOKED:
      return { reason: "revoked", message: end.reason };
    case CloseCode.REPLACED:
      return { reason: "replaced", message: end.reason };
    default:
      return { reason: isOlderOperator(end.reason) ? "protocol_too_new" : "protocol_too_old", message: end.reason };
  }
}

/** Which side is too old is in the words alone: an Operator that is older than this file knows only one code for both. */
function isOlderOperator(reason: string): boolean {
  const [, version] = /this Operator speaks protocol (\d+)/.exec(reason) ?? [];
  return version !== undefined && Number(version) < PROTOCOL_VERSION;
}

function isPlanned(end: LinkEnd): boolean {
  return end.kind === "closed" && PLANNED_CODES.has(end.code);
}

/** The token is at fault: it may have been renewed on disk, so these two get a time of grace. */
function isRefusal({ reason }: Stopped): boolean {
  return reason === "refused" || reason === "revoked";
}

function describe(end: LinkEnd): string {
  switch (end.kind) {
    case "refused":
      return "Operator refused this machine's token";
    case "unreachable":
      return end.reason;
    case "closed":
      return end.reason === "" ? `the link was closed (${end.code})` : end.reason;
  }
}
