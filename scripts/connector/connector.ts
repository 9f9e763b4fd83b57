import { CloseCode, isFatal } from "#protocol/close-code.ts";
import type { Facts } from "#protocol/control.ts";
import { backoffMs } from "./backoff.ts";
import { systemClock, wait, type Clock } from "./clock.ts";
import type { Spool } from "./event-sender.ts";
import { Link, type LinkEnd } from "./link.ts";
import type { Target } from "./target.ts";

/**
 * For so long a refused token is tried again before the connector gives up: what a rotation writes (the new token on this
 * disk, its hash at the script) need not be everywhere in the same second.
 */
export const REFUSAL_GRACE_MS = 10_000;

/** Waits while refused stay below this, so that a new token on disk is soon seen. */
const REFUSED_RETRY_MS = 1_000;

/** A link that lived for so long counts as a success: the next failure starts the back-off from its beginning. */
const STABLE_MS = 5_000;

const NORMAL_CLOSURE = 1000;

export type Credentials = { readonly linkUrl: string; readonly token: string };

/** Why a connector stopped for good. */
export type Stopped =
  | { reason: "stopped" }
  /** The token is not, or no longer, this machine's. */
  | { reason: "refused" }
  | { reason: "revoked"; message: string }
  /** Another connector of this machine took over. */
  | { reason: "replaced"; message: string }
  | { reason: "protocol_too_old"; message: string };

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

/** Keeps one machine's link up, for ever, until it is stopped or told for good that it is not wanted. */
export class Connector {
  readonly #options: ConnectorOptions;
  readonly #clock: Clock;
  readonly #stopping = new AbortController();
  #link: Link | null = null;

  constructor(options: ConnectorOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
  }

  /** Dials until it is over. Rejects only when `credentials` or `renamed` do. */
  async run(): Promise<Stopped> {
    const { random = Math.random, refusalGraceMs = REFUSAL_GRACE_MS } = this.#options;
    let failures = 0;
    let refusal: { sinceMs: number; token: string; stopped: Stopped } | null = null;
    while (!this.#stopping.signal.aborted) {
      const credentials = await this.#options.credentials();
      if (refusal !== null && refusal.token !== credentials.token) refusal = null;
      const { end, onlineForMs } = await this.#dial(credentials);
      if (this.#stopping.signal.aborted) break;
      if (onlineForMs !== null) refusal = null;
      failures = onlineForMs !== null && onlineForMs >= STABLE_MS ? 0 : failures;
      if (end.kind === "closed" && end.code === CloseCode.RENAMED) {
        await this.#options.renamed(end.reason);
        await wait(this.#clock, backoffMs(failures, random), this.#stopping.signal);
        failures += 1; // two names that point at each other must not make a tight loop
        continue;
      }
      const verdict = verdictOf(end);
      if (verdict !== null && !isRefusal(verdict)) return verdict;
      if (verdict !== null) {
        refusal ??= { sinceMs: this.#clock.nowMs(), token: credentials.token, stopped: verdict };
        if (this.#clock.nowMs() - refusal.sinceMs >= refusalGraceMs) return refusal.stopped;
      }
      const retryInMs = Math.min(backoffMs(failures, random), verdict === null ? Infinity : REFUSED_RETRY_MS);
      failures += 1;
      this.#options.listener?.offline?.(describe(end), retryInMs);
      await wait(this.#clock, retryInMs, this.#stopping.signal);
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

  async #dial({ linkUrl, token }: Credentials): Promise<{ end: LinkEnd; onlineForMs: number | null }> {
    if (this.#stopping.signal.aborted) return { end: { kind: "unreachable", reason: "stopped" }, onlineForMs: null };
    let onlineMs: number | null = null;
    const { facts, target, spool, listener } = this.#options;
    this.#link = new Link({
      url: linkUrl,
      token,
      facts: facts(),
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
      return { reason: "protocol_too_old", message: end.reason };
  }
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
