import { randomUUID } from "node:crypto";
import { CloseCode, isFatal } from "#protocol/close-code.ts";
import type { Facts } from "#protocol/control.ts";
import { PROTOCOL_VERSION } from "#protocol/limits.ts";
import { isMachineName } from "#protocol/slug.ts";
import { expiryOf } from "#protocol/link-token.ts";
import { systemClock, wait, type Clock } from "./clock.ts";
import type { Spool } from "./event-sender.ts";
import { Link, type LinkEnd, type LinkSigner } from "./link.ts";
import { Redial } from "./redial.ts";
import type { Target } from "./target.ts";

/**
 * How long a refused token is retried before the connector gives up. A rotation changes two places, the token on this disk and
 * its hash at the script, and they do not change at the same moment.
 */
export const REFUSAL_GRACE_MS = 10_000;

/** The longest wait while the token is refused, so that a new token on disk is noticed soon. */
const REFUSED_RETRY_MS = 1_000;

/**
 * A wait that took this much longer than requested means that the computer was asleep. Load alone never delays a timer that
 * much.
 */
const SLEPT_MS = 10_000;

const NORMAL_CLOSURE = 1000;

/** Close codes of a planned restart. The last two are standard WebSocket codes: going away, service restart. */
const PLANNED_CODES: ReadonlySet<number> = new Set([CloseCode.RESTARTING, 1001, 1012]);

export type Credentials = {
  readonly linkUrl: string;
  readonly token: string;
  /** The one that `token` replaced, which an Operator that was restored from a backup still expects. */
  readonly formerToken?: string | undefined;
  /** Absent, or `null`, when the machine has no key: its link then depends on the token alone. */
  readonly key?: LinkSigner | null;
};

/** The token on the disk is refused, since then and for this reason. `formerToken` is dialled with before it is given up. */
type Refusal = {
  readonly sinceMs: number;
  readonly token: string;
  readonly formerToken: string | undefined;
  readonly stopped: Stopped;
};

/** Why a connector stopped permanently. */
export type Stopped =
  | { reason: "stopped" }
  /** The token is not, or no longer, this machine's. */
  | { reason: "refused" }
  /** The token was refused because it expired at this time, in milliseconds since 1970. */
  | { reason: "expired"; expiredMs: number }
  | { reason: "revoked"; message: string }
  /** Another connector of this machine took over. */
  | { reason: "replaced"; message: string }
  /** The connector speaks an older protocol than its Operator. */
  | { reason: "protocol_too_old"; message: string }
  /** The connector speaks a newer protocol than its Operator. */
  | { reason: "protocol_too_new"; message: string };

export type ConnectorListener = {
  online?(epoch: number): void;
  /** The link is down, for this reason. The next dial is in `retryInMs`. */
  offline?(reason: string, retryInMs: number): void;
};

export type ConnectorOptions = {
  /** Read before each dial, so that a token which was renewed in the meantime is used. */
  readonly credentials: () => Promise<Credentials>;
  /** Called when the machine was renamed. From then on `credentials` must return the new address. */
  readonly renamed: (name: string) => Promise<void>;
  /** Called with a new token, which replaces the one that the link was opened with before that expires. It must be saved before the next dial. */
  readonly renewed?: (token: string, formerToken: string) => void;
  /** Asked before each dial: why what answers at this address must not have the machine; `null` if it may. Default: it may. */
  readonly whyNotDial?: (linkUrl: string) => Promise<string | null>;
  readonly facts: () => Facts;
  readonly target: Target;
  /** Takes people's decisions (`ScriptPath.DECIDE`). Default: nobody does. */
  readonly decisions?: Target | null;
  readonly spool: Spool;
  readonly listener?: ConnectorListener;
  /** How long a refused token is retried. Default: `REFUSAL_GRACE_MS`. */
  readonly refusalGraceMs?: number;
  readonly clock?: Clock;
  /** In [0, 1). */
  readonly random?: () => number;
};

/** Keeps one machine's link up until it is stopped, or Operator refuses it permanently. */
export class Connector {
  readonly #options: ConnectorOptions;
  readonly #clock: Clock;
  readonly #stopping = new AbortController();
  /** Distinguishes this process from others with the same event stream. */
  readonly #id = randomUUID();
  #dials = 0;
  #link: Link | null = null;

  constructor(options: ConnectorOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
  }

  /** Dials until the connector is stopped or permanently refused. Rejects only if `credentials` or `renamed` reject. */
  async run(): Promise<Stopped> {
    const { random = Math.random, refusalGraceMs = REFUSAL_GRACE_MS } = this.#options;
    const redial = new Redial(this.#clock.nowMs(), random);
    let refusal: Refusal | null = null;
    while (!this.#stopping.signal.aborted) {
      const credentials = await this.#options.credentials();
      if (refusal !== null && refusal.token !== credentials.token) refusal = null;
      const token = refusal?.formerToken ?? credentials.token;
      const { end, onlineForMs } = await this.#dial({ ...credentials, token });
      if (this.#stopping.signal.aborted) break;
      if (onlineForMs !== null) refusal = null;
      const waitMs = redial.waitMs({ onlineForMs, wasPlanned: isPlanned(end) }, this.#clock.nowMs());
      // An invalid name comes from a hostile or broken Operator, and would become the name of a file here.
      if (end.kind === "closed" && end.code === CloseCode.RENAMED && isMachineName(end.reason)) {
        await this.#options.renamed(end.reason);
        await this.#wait(waitMs, redial); // two names that point at each other must not cause a tight loop
        continue;
      }
      const verdict = verdictOf(end, token, this.#clock.nowMs());
      if (verdict !== null && !isRefusal(verdict)) return verdict;
      if (verdict !== null) {
        refusal = refusalOf(refusal, verdict, credentials, this.#clock.nowMs());
        if (this.#clock.nowMs() - refusal.sinceMs >= refusalGraceMs) return refusal.stopped;
      }
      const retryInMs = Math.min(waitMs, verdict === null ? Infinity : REFUSED_RETRY_MS);
      this.#options.listener?.offline?.(describe(end), retryInMs);
      await this.#wait(retryInMs, redial);
    }
    return { reason: "stopped" };
  }

  /** Ends the link and stops dialling. `run` resolves soon after. */
  stop(reason: string): void {
    this.#stopping.abort();
    this.#link?.close(NORMAL_CLOSURE, reason);
  }

  /** Sends the machine's facts again, because they have changed. */
  announce(): void {
    this.#link?.announce(this.#options.facts());
  }

  /** Sends the new events in the spool. */
  sendEvents(): void {
    this.#link?.sendEvents();
  }

  /**
   * Waits before the next dial. If the computer was asleep meanwhile, the network may be another one and the back-off starts
   * anew.
   */
  async #wait(ms: number, redial: Redial): Promise<void> {
    const dueMs = this.#clock.nowMs() + ms;
    await wait(this.#clock, ms, this.#stopping.signal);
    if (this.#clock.nowMs() - dueMs > SLEPT_MS) redial.restart(this.#clock.nowMs());
  }

  async #dial({ linkUrl, token, key = null }: Credentials): Promise<{ end: LinkEnd; onlineForMs: number | null }> {
    const whyNot = (await this.#options.whyNotDial?.(linkUrl)) ?? null;
    if (whyNot !== null) return { end: { kind: "unreachable", reason: whyNot }, onlineForMs: null };
    if (this.#stopping.signal.aborted) return { end: { kind: "unreachable", reason: "stopped" }, onlineForMs: null };
    let onlineMs: number | null = null;
    const { facts, target, decisions = null, spool, listener } = this.#options;
    this.#dials += 1;
    this.#link = new Link({
      url: linkUrl,
      token,
      key,
      facts: facts(),
      dial: { connector: this.#id, start: spool.start, number: this.#dials },
      target,
      decisions,
      spool,
      clock: this.#clock,
      onWelcome: (epoch) => {
        onlineMs = this.#clock.nowMs();
        listener?.online?.(epoch);
      },
      onToken: (renewed) => this.#options.renewed?.(renewed, token),
    });
    const end = await this.#link.ended;
    this.#link = null;
    return { end, onlineForMs: onlineMs === null ? null : this.#clock.nowMs() - onlineMs };
  }
}

/** Whether the connector must stop after this end of a link; `null`: dial again. */
function verdictOf(end: LinkEnd, token: string, nowMs: number): Stopped | null {
  if (end.kind === "refused") {
    const expiresMs = expiryOf(token);
    return expiresMs !== null && expiresMs <= nowMs
      ? { reason: "expired", expiredMs: expiresMs }
      : { reason: "refused" };
  }
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

/**
 * Whether Operator is the older side. Only the text says which side it is, because old versions of Operator use one code for
 * both.
 */
function isOlderOperator(reason: string): boolean {
  const [, version] = /this Operator speaks protocol (\d+)/.exec(reason) ?? [];
  return version !== undefined && Number(version) < PROTOCOL_VERSION;
}

function isPlanned(end: LinkEnd): boolean {
  return end.kind === "closed" && PLANNED_CODES.has(end.code);
}

/**
 * The former token is tried once, and only if Operator does not know the newer one. An Operator that has revoked a link says so to the machine, and then
 * means both.
 */
function refusalOf(
  before: Refusal | null,
  stopped: Stopped,
  { token, formerToken }: Credentials,
  nowMs: number,
): Refusal {
  if (before !== null) return { ...before, formerToken: undefined };
  return { sinceMs: nowMs, token, formerToken: stopped.reason === "refused" ? formerToken : undefined, stopped };
}

/** Whether the token is the problem. It may be renewed on disk soon, so these get a grace period. */
function isRefusal({ reason }: Stopped): boolean {
  return reason === "refused" || reason === "expired" || reason === "revoked";
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
