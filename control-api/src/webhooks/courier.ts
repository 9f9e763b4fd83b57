import type { NoPush } from "../push/push-request.ts";
import { SUBSCRIPTION_HEADER } from "./challenge.ts";
import type { CredentialCheck } from "./credential-check.ts";
import type { Deliveries, Delivery } from "./deliveries.ts";
import {
  FAILING_PAUSE_MS,
  MAX_DEAD,
  MAX_FAILING_IN_FLIGHT,
  MAX_IN_FLIGHT,
  MAX_PENDING,
  RETRY_JITTER,
  SUSPEND_AFTER_MS,
} from "./limits.ts";
import { messageOf, retriesOf } from "./message.ts";
import { post, type Posted } from "./post.ts";
import { unseal } from "./seal.ts";
import { signatureHeaders } from "./sign.ts";
import type { Subscription, Subscriptions } from "./subscription.ts";

/** HTTP 410: the receiver does not want this message. Nothing is wrong with the subscription (SEP-3415, "Delivery model"). */
const GONE = 410;
/** HTTP 404, which some push services answer in place of 410 for a subscription that has expired (RFC 8030, section 7.3). */
const NOT_FOUND = 404;
/** HTTP 413: the message is too large for this receiver and will be so next time. */
const TOO_LARGE = 413;

export type CourierOptions = {
  readonly subscriptions: Subscriptions;
  readonly deliveries: Deliveries;
  readonly credentials: CredentialCheck;
  /** The key for stored secrets, and what they are bound to besides their subscription. */
  readonly sealing: () => { readonly secret: string; readonly user: string };
  /** The position up to which the log is in the queue. */
  readonly position: () => string;
  /** A subscription's credential is no longer valid. */
  readonly end: (subscription: Subscription) => void;
  /** Sends a message to a browser, encrypted with the keys in `secret`. */
  readonly push: (subscription: Subscription, secret: string, delivery: Delivery) => Promise<Posted | NoPush>;
  /** Sends a browser a notification that says that they arrive. */
  readonly tryPush: (subscription: Subscription, secret: string) => Promise<Posted>;
};

/**
 * Brings the queued messages to their receivers. Each subscription has at most one request under way, so its messages arrive in order
 * as long as none fails; one that fails waits for its next attempt while later ones go ahead.
 */
export class Courier {
  readonly #options: CourierOptions;
  readonly #underWay = new Map<string, Promise<void>>();
  #running: Promise<void> | null = null;
  #wake: () => void = () => undefined;

  constructor(options: CourierOptions) {
    this.#options = options;
  }

  /** Sends all that is due. While it runs already, it is only told that there is more. */
  run(): Promise<void> {
    this.#wake();
    this.#running ??= this.#sendAll().finally(() => {
      this.#running = null;
    });
    return this.#running;
  }

  async #sendAll(): Promise<void> {
    for (;;) {
      const { promise: woken, resolve } = Promise.withResolvers<void>();
      this.#wake = resolve;
      this.#startDue();
      if (this.#underWay.size === 0) return;
      await Promise.race([woken, ...this.#underWay.values()]);
    }
  }

  /** Starts as many requests as there is room for. Receivers that were asked longest ago go first. */
  #startDue(): void {
    const { subscriptions, deliveries } = this.#options;
    const nowMs = Date.now();
    const waiting = subscriptions
      .list()
      .filter(({ id, suspendedMs }) => suspendedMs === null && !this.#underWay.has(id))
      .toSorted((one, other) => (one.lastDeliveryMs ?? 0) - (other.lastDeliveryMs ?? 0));
    for (const subscription of waiting) {
      if (this.#underWay.size >= MAX_IN_FLIGHT) return;
      if (subscription.failedSinceMs !== null && this.#failingUnderWay() >= MAX_FAILING_IN_FLIGHT) continue;
      const delivery = deliveries.due(subscription.id, nowMs);
      if (delivery === null) continue;
      const sent = this.#attempt(subscription, delivery)
        .catch((reason: unknown) => {
          // Not the receiver's fault: its turn comes again like after a failure.
          console.error("a webhook could not be sent", { subscription: subscription.id, reason: String(reason) });
          this.#failed(subscription, delivery, { ok: false, fault: "connection_refused", status: null });
        })
        .finally(() => this.#underWay.delete(subscription.id));
      this.#underWay.set(subscription.id, sent);
    }
  }

  #failingUnderWay(): number {
    const { subscriptions } = this.#options;
    return [...this.#underWay.keys()].filter((id) => (subscriptions.get(id)?.failedSinceMs ?? null) !== null).length;
  }

  async #attempt(subscription: Subscription, delivery: Delivery): Promise<void> {
    const { subscriptions, deliveries, credentials, end } = this.#options;
    // The last message of an ended subscription tells its receiver of the end.
    if (!subscription.hasEnded) {
      const sight = await credentials.sightOf(subscription.credential, Date.now());
      if (sight === null) return end(subscription);
      if (JSON.stringify(sight.machines) !== JSON.stringify(subscription.visible))
        subscriptions.see(subscription.id, sight.machines);
    }
    const secrets = await this.#secretsOf(subscription);
    if (secrets === null) return this.#forget(subscription);
    const posted = await this.#outcomeOf(subscription, delivery, secrets);
    if (subscriptions.get(subscription.id) === null) return; // removed meanwhile, and its queue with it
    if ("outcome" in posted)
      return posted.outcome === "dropped"
        ? deliveries.delete(delivery.id)
        : deliveries.delay(delivery.id, posted.untilMs);
    // A browser that has unsubscribed, or was uninstalled, never comes back with this address.
    if (subscription.push !== null && !posted.ok && (posted.status === GONE || posted.status === NOT_FOUND))
      return this.#forget(subscription);
    if (!posted.ok && posted.status !== GONE) return this.#failed(subscription, delivery, posted);
    deliveries.delete(delivery.id);
    if (subscription.hasEnded) return this.#forget(subscription);
    subscriptions.delivered(subscription.id, Date.now());
    this.#tellGap(subscription);
  }

  #outcomeOf(subscription: Subscription, delivery: Delivery, secrets: readonly string[]): Promise<Posted | NoPush> {
    const [secret = ""] = secrets;
    if (subscription.push === null) return this.#send(subscription, delivery, secrets);
    // "Events were left out" is for programs that read on. A browser shows the next notification all the same.
    if (delivery.isControl) return Promise.resolve({ outcome: "dropped" });
    return this.#options.push(subscription, secret, delivery);
  }

  /** Sends one message. Its cursor is a position up to which the receiver has everything, if it takes this message. */
  async #send(subscription: Subscription, delivery: Delivery, secrets: readonly string[]): Promise<Posted> {
    const oldest = this.#options.deliveries.oldest(subscription.id);
    const cursor = oldest === null || oldest.id === delivery.id ? delivery.after : oldest.before;
    const message = messageOf(subscription, delivery, cursor);
    const signed = secrets.length === 0 ? {} : await signatureHeaders(message, secrets, Date.now());
    const about: Record<string, string> =
      subscription.kind === "ntfy" ? {} : { [SUBSCRIPTION_HEADER]: subscription.id };
    return post(message.url, message.body, { ...signed, ...about });
  }

  /** Sends a message that is in no queue, to try a webhook out. */
  async tryOut(subscription: Subscription, delivery: Delivery): Promise<Posted> {
    const secrets = await this.#secretsOf(subscription);
    if (secrets === null) return { ok: false, fault: "connection_refused", status: null };
    const [secret = ""] = secrets;
    return subscription.push === null
      ? this.#send(subscription, delivery, secrets)
      : this.#options.tryPush(subscription, secret);
  }

  #failed(subscription: Subscription, delivery: Delivery, posted: Posted & { ok: false }): void {
    const { subscriptions, deliveries } = this.#options;
    const nowMs = Date.now();
    const attempts = delivery.attempts + 1;
    const pauseMs = posted.status === TOO_LARGE ? undefined : retriesOf(subscription)[delivery.attempts];
    subscriptions.failed(subscription.id, posted.fault, nowMs);
    if (pauseMs !== undefined) {
      const spreadMs = pauseMs * (1 + RETRY_JITTER * Math.random());
      deliveries.retry(delivery.id, attempts, nowMs + Math.round(spreadMs), posted.fault);
    } else if (subscription.hasEnded) {
      this.#forget(subscription);
    } else if (subscription.push !== null) {
      deliveries.delete(delivery.id);
    } else {
      deliveries.bury(delivery.id, attempts, nowMs, posted.fault, MAX_DEAD);
    }
    // The second failure in a row is hardly the message's fault, so the others wait as well.
    if (subscription.failedSinceMs !== null) deliveries.postpone(subscription.id, nowMs + FAILING_PAUSE_MS);
    const sinceMs = subscriptions.get(subscription.id)?.failedSinceMs ?? nowMs;
    if (nowMs - sinceMs >= SUSPEND_AFTER_MS) subscriptions.suspend(subscription.id, nowMs);
  }

  /** Events were left out while the queue was full. The receiver is told once half of the queue is free again. */
  #tellGap({ id }: Subscription): void {
    const { subscriptions, deliveries, position } = this.#options;
    if (subscriptions.get(id)?.hasGap !== true || deliveries.pending(id) > MAX_PENDING / 2) return;
    subscriptions.markGap(id, false);
    const cursor = deliveries.oldest(id)?.before ?? position();
    const content = JSON.stringify({ type: "gap", cursor });
    const message = `msg_gap_${crypto.randomUUID()}`;
    deliveries.add(
      { subscription: id, message, isControl: true, content, before: cursor, after: cursor, about: null },
      Date.now(),
    );
  }

  /** The secrets to sign with; `null` if they cannot be opened, because the secret of this Operator was replaced. */
  async #secretsOf({ id, kind }: Subscription): Promise<string[] | null> {
    if (kind === "ntfy") return [];
    const stored = this.#options.subscriptions.secretsOf(id);
    if (stored?.secret === null || stored === null) return null;
    const { secret: key, user } = this.#options.sealing();
    const sealed = [
      stored.secret,
      ...(stored.former !== null && stored.formerUntilMs > Date.now() ? [stored.former] : []),
    ];
    try {
      return await Promise.all(sealed.map((one) => unseal(one, `${user}/${id}`, key)));
    } catch (reason) {
      console.error("a webhook's secret could not be opened", { subscription: id, reason: String(reason) });
      return null;
    }
  }

  #forget({ id }: Subscription): void {
    this.#options.deliveries.deleteOf(id);
    this.#options.subscriptions.delete(id);
  }
}
