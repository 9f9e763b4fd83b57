import { DurableObject } from "cloudflare:workers";
import * as z from "zod/mini";
import { hex, sha256 } from "#protocol/bytes.ts";
import type { OperatorError } from "#protocol/error.ts";
import type { Env } from "../env.ts";
import type { Bearer, Sight } from "../http/caller.ts";
import type { Identified } from "../http/shown-machine.ts";
import { feedOf } from "../mcp-events/event-feed.ts";
import { type EventsError, EventsFailure, wireErrorOf } from "../mcp-events/events-error.ts";
import type { SubscribeRequest, Subscribed, UnsubscribeRequest } from "../mcp-events/subscribe-request.ts";
import { TokenBucket } from "#protocol/token-bucket.ts";
import { Closure } from "../user/closure.ts";
import type { Renamed } from "../user/follower.ts";
import { registryOf } from "../user/user-rpc.ts";
import { areKeys, type BrowserKeys } from "../push/encrypt.ts";
import { DEFAULT_TYPES, type PushChoice } from "../push/push-settings.ts";
import { type NoPush, type PushIdentity, pushOf, type PushTarget, testPushOf } from "../push/push-request.ts";
import { isTimeZone } from "../push/quiet-hours.ts";
import { makeVapidKey, VapidKey } from "../push/vapid.ts";
import type { AddPushRequest, AddRequest, Added } from "./add-request.ts";
import { boundLimits } from "./bound-limits.ts";
import { callbackUrlOf } from "./callback-url.ts";
import { Challenges } from "./challenge.ts";
import { Collector } from "./collector.ts";
import { Courier } from "./courier.ts";
import { CredentialCheck } from "./credential-check.ts";
import { Deliveries, type Delivery } from "./deliveries.ts";
import {
  DEAD_AGE_MS,
  DEFAULT_TTL_MS,
  FORMER_SECRET_MS,
  GUARD_MS,
  LOOK_AGAIN_MS,
  MAX_MUTED,
  MAX_PUSHES,
  MAX_SUBSCRIPTIONS,
  MAX_SUBSCRIPTIONS_PER_CLIENT,
  MAX_TTL_MS,
  MAX_WEBHOOKS,
  MIN_TTL_MS,
  TRIES,
  UNTRACKED_TTL_MS,
} from "./limits.ts";
import { post, type Posted } from "./post.ts";
import { seal, unseal } from "./seal.ts";
import { keyOfSecret, makeSecret } from "./sign.ts";
import { shownSubscription } from "./shown-subscription.ts";
import { type Subscription, Subscriptions } from "./subscription.ts";
import { Verified } from "./verified.ts";
import type { Overview, TooOften, WebhooksRpc } from "./webhooks-rpc.ts";

/** Characters of the hash in a subscription's id: 128 bits. */
const ID_CHARACTERS = 32;

/** Storage key of the key for push services, sealed. */
const VAPID_KEY = "vapid";

/** What the key for push services is bound to, in place of a subscription. */
const VAPID_CONTEXT = "vapid";

/** The answer to a request of somebody who is removed while it is carried out. */
const REMOVED: OperatorError = { code: "unauthorized" };

/** The keys of a browser's subscription, as they are sealed. */
const Keys = z.object({ p256dh: z.string(), auth: z.string() });

/** Storage key of the person whose object this is. */
const USER_KEY = "user";

/**
 * The Durable Object of one person's webhooks: subscriptions of their MCP clients, webhooks of their own, and the queue of messages on
 * their way. It is apart from the person's other object, so that slow receivers keep nobody else waiting.
 *
 * Everything is stored before it is sent. Alarms do what is due later, and take over after a restart.
 */
export class Webhooks extends DurableObject<Env> implements WebhooksRpc {
  readonly #subscriptions = new Subscriptions(this.ctx.storage.sql);
  readonly #deliveries = new Deliveries(this.ctx.storage.sql);
  readonly #verified = new Verified(this.ctx.storage.sql);
  readonly #closure = new Closure(this.ctx.storage.sql);
  readonly #challenges = new Challenges();
  readonly #credentials = new CredentialCheck(this.env, () => this.#user);
  readonly #collector = new Collector(this.ctx.storage, this.#subscriptions, this.#deliveries, (visible) =>
    feedOf(this.env, this.#user, visible),
  );
  readonly #courier = new Courier({
    subscriptions: this.#subscriptions,
    deliveries: this.#deliveries,
    credentials: this.#credentials,
    sealing: () => ({ secret: this.env.REPORT_SECRET, user: this.#user }),
    position: () => this.#collector.position ?? "",
    end: (subscription) => this.#end(subscription),
    push: (subscription, secret, delivery) => this.#push(subscription, secret, delivery),
    tryPush: async (subscription, secret) => {
      const target = targetOf(subscription, secret);
      const { url, body, headers } = await testPushOf(target, await this.#identity(), Date.now());
      return post(url, body, headers);
    },
  });
  readonly #tries = new TokenBucket(TRIES, Date.now());
  #reading: Promise<unknown> = Promise.resolve();
  /** What the person's object was told last (`#follow`). */
  #isFollowed: boolean | null = null;

  /** The user's id. An object does not know its name after an alarm has started it, so it is stored. */
  get #user(): string {
    return this.ctx.storage.kv.get<string>(USER_KEY) ?? "";
  }

  async subscribe(request: SubscribeRequest): Promise<Subscribed | { error: EventsError }> {
    try {
      return await this.#subscribe(request);
    } catch (reason) {
      if (reason instanceof EventsFailure) return { error: reason.error };
      throw reason;
    }
  }

  async unsubscribe(request: UnsubscribeRequest): Promise<EventsError | null> {
    const known = this.#subscriptions.get(await idOf(request));
    if (known === null || known.hasEnded) return { code: "not_found", kind: "subscription" };
    await this.remove(known.id);
    return null;
  }

  async add(request: AddRequest): Promise<Added | OperatorError> {
    const { user, url: text, kind } = request;
    const url = callbackUrlOf(text, this.env);
    if ("refused" in url) return { code: "invalid_request", reason: url.refused };
    this.ctx.storage.kv.put(USER_KEY, user);
    const id = `hook_${crypto.randomUUID().slice(0, 8)}`;
    const secret = kind === "ntfy" ? null : makeSecret();
    const sealed = secret === null ? null : await this.#seal(id, secret);
    const { machines: visible } = (await this.#credentials.sightOf(request.credential, Date.now())) ?? { machines: [] };
    const refused = await this.#inTurn(async (): Promise<OperatorError | null> => {
      if (this.#closure.isClosed) return REMOVED;
      await this.#collect();
      // Not before: others that are added at the same time count as well.
      if (this.#subscriptions.list().filter((one) => one.kind !== "client" && one.push === null).length >= MAX_WEBHOOKS)
        return {
          code: "invalid_request",
          reason: `You have ${MAX_WEBHOOKS} webhooks, the most there may be. Remove one first.`,
        };
      const createdMs = Date.now();
      this.#subscriptions.add({ ...request, id, url: url.href, visible, createdMs, expiresMs: null }, sealed);
      await this.#guard();
      return null;
    });
    if (refused !== null) return refused;
    await this.#follow();
    return (await this.#isAllowed(id, request.by ?? request.credential)) ? { id, url: url.href, secret } : REMOVED;
  }

  async overview(): Promise<Overview> {
    if (this.#subscriptions.list().length === 0) return { subscriptions: [], dead: [] };
    await this.#bind();
    const known = (await this.#machines()).filter(({ identity }) => identity !== "");
    const names = new Map(known.map(({ name, identity }) => [identity, name]));
    const subscriptions = this.#subscriptions.list().map((one) => ({
      ...shownSubscription(one, (identity) => names.get(identity)),
      pending: this.#deliveries.pending(one.id),
    }));
    return { subscriptions, dead: this.#deliveries.dead() };
  }

  async pushKey(user: string): Promise<string> {
    this.ctx.storage.kv.put(USER_KEY, user);
    return (await this.#vapidKey()).publicKey;
  }

  async addPush(request: AddPushRequest): Promise<{ id: string } | OperatorError> {
    const { user, credential, endpoint, keys, browser, zone } = request;
    const refuse = (reason: string): OperatorError => ({ code: "invalid_request", reason });
    const url = callbackUrlOf(endpoint, this.env);
    if ("refused" in url) return refuse(`The address of the browser's push service was not accepted. ${url.refused}`);
    if (!(await areKeys(keys))) return refuse("The keys of the browser's subscription are not valid.");
    if (!isTimeZone(zone)) return refuse("There is no such time zone.");
    this.ctx.storage.kv.put(USER_KEY, user);
    const id = `push_${hex(await sha256(url.href)).slice(0, ID_CHARACTERS)}`;
    const sealed = await this.#seal(id, JSON.stringify(keys));
    const refusal = await this.#inTurn(async (): Promise<OperatorError | null> => {
      if (this.#closure.isClosed) return REMOVED;
      await this.#collect();
      const known = this.#subscriptions.get(id);
      // A browser has one subscription, and another address when it was renewed. Whoever is signed in with it now has it alone.
      for (const { id: other, ...one } of this.#subscriptions.list())
        if (other !== id && one.push !== null && one.credential === credential) this.#drop(other);
      if (known === null && this.#subscriptions.list().filter((one) => one.push !== null).length >= MAX_PUSHES)
        return refuse(`You get notifications in ${MAX_PUSHES} browsers, the most there may be. Remove one first.`);
      const push = { muted: [], mutedNames: [], quiet: null, showsContent: false, ...known?.push, browser, zone };
      const rest = { kind: "push", client: browser, filter: { machine: null, session: null }, visible: null } as const;
      const types = known?.types ?? DEFAULT_TYPES;
      this.#subscriptions.delete(id);
      this.#subscriptions.add(
        { ...rest, id, credential, types, url: url.href, createdMs: Date.now(), expiresMs: null, push },
        sealed,
      );
      await this.#guard();
      return null;
    });
    if (refusal !== null) return refusal;
    await this.#follow();
    return (await this.#isAllowed(id, credential)) ? { id } : REMOVED;
  }

  async choosePush(id: string, types: readonly string[], { muted, heard, ...chosen }: PushChoice): Promise<boolean> {
    await this.#bind();
    const push = this.#subscriptions.get(id)?.push ?? null;
    if (push === null) return false;
    const others = push.muted.filter((identity) => !muted.includes(identity) && !heard.includes(identity));
    this.#subscriptions.choose(id, types, { ...push, ...chosen, muted: [...others, ...muted].slice(-MAX_MUTED) });
    // What waits for quiet hours to end may be sent now. If they are not over, it waits again.
    this.#deliveries.hurry(id, Date.now());
    this.ctx.waitUntil(this.#deliver());
    return true;
  }

  async remove(id: string): Promise<string | null> {
    const known = this.#subscriptions.get(id);
    if (known === null) return null;
    this.#drop(id);
    await this.#follow();
    return known.url;
  }

  #drop(id: string): void {
    this.#deliveries.deleteOf(id);
    this.#subscriptions.delete(id);
  }

  async tryOut(id: string): Promise<Posted | TooOften | null> {
    const known = this.#subscriptions.get(id);
    if (known === null || known.kind === "client") return null;
    const afterMs = this.#tries.take(Date.now());
    if (afterMs > 0) return { afterMs };
    const occurrence = {
      eventId: `msg_test_${crypto.randomUUID()}`,
      name: "webhook.test",
      timestamp: new Date().toISOString(),
      data: { webhook: id },
    };
    const message = occurrence.eventId;
    const test = { id: 0, subscription: id, message, isControl: false, content: JSON.stringify(occurrence), before: "", after: "", attempts: 0, about: null }; // prettier-ignore
    const posted = await this.#courier.tryOut(known, test);
    if (posted.ok) {
      this.#subscriptions.delivered(id, Date.now());
      this.#deliveries.hurry(id, Date.now());
      await this.#deliver();
    }
    return posted;
  }

  async retry(id: string): Promise<number | TooOften | null> {
    if (this.#subscriptions.get(id) === null) return null;
    const afterMs = this.#tries.take(Date.now());
    if (afterMs > 0) return { afterMs };
    const count = this.#deliveries.revive(id, Date.now());
    this.#subscriptions.resume(id);
    await this.#deliver();
    return count;
  }

  async wake(hasRevoked: boolean, renamed: readonly Renamed[] = []): Promise<void> {
    if (this.#subscriptions.list().length === 0) {
      this.#isFollowed = null;
      return this.#follow();
    }
    if (hasRevoked) await this.#checkAll();
    await this.#inTurn(() => {
      // After a read of the log that has begun, which still had the former names.
      for (const one of renamed) this.#deliveries.rename(one);
      return this.#collect();
    });
    await this.#deliver();
  }

  async forget(machine: string, session: string | null, computers: readonly string[]): Promise<void> {
    // After a read of the log that has begun, which could still put some into the queue.
    await this.#inTurn(() => Promise.resolve(this.#deliveries.forget(machine, session, computers)));
  }

  async removeOwn(): Promise<void> {
    // After one that is being added: whoever adds it is looked up when it is stored.
    await this.#inTurn(async () => {
      for (const { id, credential } of this.#subscriptions.list()) if (credential === null) this.#drop(id);
    });
    await this.#follow();
  }

  async removeAll(): Promise<void> {
    // A receiver may take seconds to agree, and what it agrees to must not be stored after this.
    this.#closure.close(Date.now());
    await this.#inTurn(async () => {
      await this.ctx.storage.deleteAlarm();
      for (const { id } of this.#subscriptions.list()) this.#drop(id);
      this.ctx.storage.kv.delete(VAPID_KEY);
      this.#collector.reset();
      this.#verified.clear();
    });
  }

  override async alarm(): Promise<void> {
    const nowMs = Date.now();
    this.#isFollowed = null; // told again, in case the person's object has lost its storage
    this.#deliveries.deleteDeadBefore(nowMs - DEAD_AGE_MS);
    this.#verified.deleteOld(nowMs);
    for (const { id, expiresMs } of this.#subscriptions.list())
      if (expiresMs !== null && expiresMs <= nowMs) await this.remove(id);
    if (this.#subscriptions.list().length === 0) return;
    // Should the log not be readable now, what is in the queue is delivered nevertheless.
    await this.#inTurn(() => this.#collect()).catch((reason: unknown) =>
      console.error("the log could not be read for webhooks", { reason: String(reason) }),
    );
    await this.#run();
  }

  async #subscribe(request: SubscribeRequest): Promise<Subscribed> {
    const url = callbackUrlOf(request.url, this.env);
    if ("refused" in url) throw new EventsFailure({ code: "invalid_params", reason: url.refused });
    if (keyOfSecret(request.secret) === null)
      throw new EventsFailure({
        code: "invalid_params",
        reason: "delivery.secret must be whsec_ followed by the Base64 of 24 to 64 random bytes.",
      });
    this.ctx.storage.kv.put(USER_KEY, request.user);
    const id = await idOf(request);
    const nowMs = Date.now();
    if (this.#active(id) === null) this.#checkLimits(request);
    const isVerified = this.#verified.has(request.credential, url.href, nowMs);
    const error = isVerified ? null : await this.#challenges.run(url, id, request.secret, nowMs);
    if (error !== null) throw new EventsFailure(error);
    const sealed = await this.#seal(id, request.secret);
    const grantedMs = Date.now() + this.#lifeOf(request);
    // Other requests ran while the receiver was asked, so what is there is looked at only now.
    const subscribed = await this.#inTurn(async (): Promise<Subscribed> => {
      if (this.#closure.isClosed) throw new EventsFailure({ code: "forbidden", reason: "Access was revoked." });
      if (!isVerified) this.#verified.add(request.credential, url.href, Date.now());
      // Not as the client was let in: since then a name may have passed to a computer that it must not see.
      const sight = await this.#sightNow(request.credential);
      if (sight === null) throw new EventsFailure({ code: "forbidden", reason: "Access was revoked." });
      const { machines: visible } = sight;
      await this.#bind();
      const known = this.#active(id);
      if (known !== null) return this.#refresh(known, request, visible, sealed, grantedMs);
      this.#checkLimits(request);
      this.#deliveries.deleteOf(id);
      this.#subscriptions.delete(id); // one that has ended, whose last message was not delivered yet
      await this.#collect();
      const { client, credential, name, filter } = request;
      const made = { id, kind: "client", client, credential, types: [name], filter, visible, url: url.href, createdMs: nowMs, expiresMs: grantedMs } as const; // prettier-ignore
      const past =
        request.cursor === null ? null : await this.#collector.replay(made, request.cursor, request.maxAgeMs);
      // What it begins with is stored with it. If it was stored first, a client that repeats its request after a restart in between would
      // be told that it has a subscription, and what happened after its cursor would never arrive.
      this.#subscriptions.add(made, sealed);
      if (past !== null) this.#collector.enqueue(id, past.matches, Date.now());
      await this.#guard();
      // While that was read something may have happened, which is for all.
      if (past !== null) await this.#collect({ subscription: id, ids: past.ids });
      const begun = { cursor: this.#watermarkOf(id), truncated: past?.truncated === true };
      return { isNew: true, result: { ...begun, id, refreshBefore: iso(grantedMs) } };
    });
    await this.#follow();
    if (!(await this.#isAllowed(id, request.credential)))
      throw new EventsFailure({ code: "forbidden", reason: "Access was revoked." });
    await this.#deliver();
    return subscribed;
  }

  async #refresh(
    known: Subscription,
    request: SubscribeRequest,
    visible: readonly string[] | null,
    sealed: string,
    grantedMs: number,
  ): Promise<Subscribed> {
    const { id, filter, lastDeliveryMs, lastFault, failedSinceMs, suspendedMs } = known;
    const { machine } = request.filter;
    // A refresh comes by itself, before its person may have seen that another computer has the name.
    if (machine?.identity !== filter.machine?.identity)
      throw new EventsFailure({
        code: "forbidden",
        reason: `"${machine?.name ?? ""}" is another machine now than the one of this subscription. To hear of it, unsubscribe and subscribe again.`,
      });
    if (!(await this.#hasSecret(id, request.secret)))
      this.#subscriptions.rotate(id, sealed, Date.now() + FORMER_SECRET_MS);
    this.#subscriptions.refresh(id, grantedMs);
    this.#subscriptions.see(id, visible);
    this.#deliveries.hurry(id, Date.now());
    const deliveryStatus = {
      active: suspendedMs === null,
      lastDeliveryAt: lastDeliveryMs === null ? null : iso(lastDeliveryMs),
      lastError: lastFault,
      ...(failedSinceMs === null ? {} : { failedSince: iso(failedSinceMs) }),
    };
    const cursor = this.#watermarkOf(id);
    return { isNew: false, result: { id, refreshBefore: iso(grantedMs), cursor, truncated: false, deliveryStatus } };
  }

  /** A position up to which the receiver has everything, or it was given up. */
  #watermarkOf(id: string): string {
    return this.#deliveries.oldest(id)?.before ?? this.#collector.position ?? "";
  }

  #active(id: string): Subscription | null {
    const known = this.#subscriptions.get(id);
    const isOver = known === null || known.hasEnded || (known.expiresMs !== null && known.expiresMs <= Date.now());
    return isOver ? null : known;
  }

  #checkLimits({ credential }: SubscribeRequest): void {
    const all = this.#subscriptions.list().filter((one) => one.kind === "client" && !one.hasEnded);
    const ofClient = all.filter((one) => one.credential === credential);
    const refuse = (limit: string, max: number): never => {
      throw new EventsFailure({ code: "resource_exhausted", limit, max });
    };
    if (ofClient.length >= MAX_SUBSCRIPTIONS_PER_CLIENT)
      refuse("subscriptions of one client", MAX_SUBSCRIPTIONS_PER_CLIENT);
    if (all.length >= MAX_SUBSCRIPTIONS) refuse("subscriptions", MAX_SUBSCRIPTIONS);
  }

  /** How long a subscription may live until its client refreshes it. */
  #lifeOf({ ttlMs, isTracked }: SubscribeRequest): number {
    const asked = ttlMs === undefined ? DEFAULT_TTL_MS : (ttlMs ?? MAX_TTL_MS);
    const longest = isTracked ? MAX_TTL_MS : UNTRACKED_TTL_MS;
    return Math.min(Math.max(asked, MIN_TTL_MS), longest);
  }

  /**
   * Whether who has made or renewed a subscription has not lost access since they were let in: a receiver may take seconds to agree. Else it is
   * removed. It shows what they may see now. What they lose later this object is told of (`#follow`).
   */
  async #isAllowed(id: string, bearer: Bearer | null): Promise<boolean> {
    const sight = await this.#sightNow(bearer);
    if (sight === null) await this.remove(id);
    else this.#subscriptions.see(id, sight.machines);
    return sight !== null;
  }

  #sightNow(bearer: Bearer | null): Promise<Sight | null> {
    this.#credentials.forget(); // an answer of before says nothing
    return this.#credentials.sightOf(bearer, Date.now());
  }

  /** Ends the subscriptions whose credential is no longer valid, and tells their receivers. */
  async #checkAll(): Promise<void> {
    this.#credentials.forget();
    for (const subscription of this.#subscriptions.list()) {
      if (subscription.hasEnded) continue;
      const sight = await this.#credentials.sightOf(subscription.credential, Date.now());
      if (sight === null) this.#end(subscription);
      else this.#subscriptions.see(subscription.id, sight.machines);
    }
  }

  /** Nothing more is delivered, except the message that says so. */
  #end({ id, kind }: Subscription): void {
    if (this.#subscriptions.get(id) === null) return; // removed while its credential was looked up
    this.#deliveries.deleteOf(id);
    if (kind !== "client") return this.#subscriptions.delete(id);
    this.#subscriptions.end(id);
    this.#subscriptions.resume(id);
    const error = wireErrorOf({ code: "forbidden", reason: "Access was revoked." });
    const content = JSON.stringify({ type: "terminated", error });
    const message = `msg_terminated_${crypto.randomUUID()}`;
    this.#deliveries.add(
      { subscription: id, message, isControl: true, content, before: "", after: "", about: null },
      Date.now(),
    );
  }

  /** Starts to deliver what is due, and does not wait for it. */
  async #deliver(): Promise<void> {
    await this.#guard();
    this.ctx.waitUntil(
      this.#run().catch((reason: unknown) => console.error("webhooks were not delivered", { reason: String(reason) })),
    );
  }

  /** Should this object be restarted, the alarm goes on. It is stored together with what was written before it without an `await`. */
  #guard(): Promise<void> {
    return this.#setAlarm(Date.now() + GUARD_MS);
  }

  async #run(): Promise<void> {
    await this.#courier.run();
    await this.#follow();
    await this.#setAlarm(Date.now() + LOOK_AGAIN_MS);
  }

  /** Sets the alarm for whatever comes first: the next attempt, the end of a subscription, or `latestMs`. */
  async #setAlarm(latestMs: number): Promise<void> {
    const all = this.#subscriptions.list();
    if (all.length === 0) return this.ctx.storage.deleteAlarm();
    const times = all.flatMap(({ expiresMs }) => expiresMs ?? []);
    const nextMs = this.#deliveries.nextMs();
    const earliestMs = Math.min(latestMs, ...times, nextMs ?? latestMs);
    // Never in the past: while a delivery is under way, its time has come already.
    await this.ctx.storage.setAlarm(Math.max(earliestMs, Date.now() + 1_000));
  }

  /** Tells the person's object whether to report new events, which it need not if nobody listens. */
  async #follow(): Promise<void> {
    const hasAny = (): boolean => this.#subscriptions.list().length > 0;
    // Not while the past is read for a first one, which goes on from this position.
    if (!hasAny())
      await this.#inTurn(async () => {
        if (!hasAny()) this.#collector.reset();
      });
    const isFollowed = hasAny();
    if (this.#isFollowed === isFollowed || this.#user === "") return;
    await registryOf(this.env, this.#user).follow(isFollowed);
    this.#isFollowed = isFollowed;
  }

  async #push(subscription: Subscription, secret: string, { content, about }: Delivery): Promise<Posted | NoPush> {
    const registry = registryOf(this.env, this.#user);
    const source = {
      asked: async (request: string) => (about === null ? null : registry.askedItem(about, request)),
      session: async (session: string) => (about === null ? null : registry.sessionOf(about, session)),
    };
    const target = targetOf(subscription, secret);
    const request = await pushOf(target, content, source, await this.#identity(), Date.now());
    return "outcome" in request ? request : post(request.url, request.body, request.headers);
  }

  /** How Operator identifies itself to push services. They want an address to turn to, which a local start does not have. */
  async #identity(): Promise<PushIdentity> {
    const { ORIGIN } = this.env;
    return { key: await this.#vapidKey(), subject: ORIGIN.startsWith("https:") ? ORIGIN : null };
  }

  /**
   * The key of this person's notifications. Each person has their own, so that push services cannot tell who is at the same Operator. If it
   * does not open because this Operator's secret was replaced, neither do the subscriptions' keys, and there is a new one.
   */
  async #vapidKey(): Promise<VapidKey> {
    const stored = this.ctx.storage.kv.get<string>(VAPID_KEY);
    if (stored !== undefined)
      try {
        return VapidKey.parse(JSON.parse(await unseal(stored, this.#contextOf(VAPID_CONTEXT), this.env.REPORT_SECRET)));
      } catch (reason) {
        console.error("the key for push services could not be opened, and is replaced", { reason: String(reason) });
      }
    const made = await makeVapidKey();
    const sealed = await this.#seal(VAPID_CONTEXT, JSON.stringify(made));
    // Another request may have made one meanwhile, and a browser may have bound its subscription to it.
    const first = this.ctx.storage.kv.get<string>(VAPID_KEY);
    if (first !== undefined && first !== stored) return this.#vapidKey();
    this.ctx.storage.kv.put(VAPID_KEY, sealed);
    return made;
  }

  #contextOf(id: string): string {
    return `${this.#user}/${id}`;
  }

  #seal(id: string, secret: string): Promise<string> {
    return seal(secret, this.#contextOf(id), this.env.REPORT_SECRET);
  }

  async #hasSecret(id: string, secret: string): Promise<boolean> {
    const stored = this.#subscriptions.secretsOf(id)?.secret ?? null;
    if (stored === null) return false;
    // One that does not open was sealed with a former secret of this Operator, and is replaced.
    return unseal(stored, `${this.#user}/${id}`, this.env.REPORT_SECRET).then(
      (known) => known === secret,
      () => false,
    );
  }

  /** Takes what is new in the log into the queue (`Collector.collect`). */
  async #collect(replayed?: Parameters<Collector["collect"]>[0]): Promise<void> {
    await this.#bind();
    await this.#collector.collect(replayed);
  }

  /** What a former version has limited to names is limited to the computers that have them now. */
  async #bind(): Promise<void> {
    const stored = this.#subscriptions.byNames();
    if (stored.length === 0) return;
    const identities = new Map((await this.#machines()).map(({ name, identity }) => [name, identity]));
    const sights = new Map<string, Sight | null>();
    for (const { id, credential } of stored) sights.set(id, await this.#credentials.sightOf(credential, Date.now()));
    // As they are stored now: while that was looked up, some may have been bound and changed.
    for (const one of this.#subscriptions.byNames()) {
      const sight = sights.get(one.id);
      if (sight === undefined) continue; // changed meanwhile: it is bound with the next read
      const { limits, isBound } = boundLimits(one, identities, sight);
      this.#subscriptions.bind(one.id, limits, isBound);
    }
  }

  async #machines(): Promise<Identified[]> {
    return registryOf(this.env, this.#user).machineEntries();
  }

  /** Reads the log once at a time: two reads from the same position would queue everything twice. */
  #inTurn<Result>(read: () => Promise<Result>): Promise<Result> {
    const turn = this.#reading.then(read);
    this.#reading = turn.catch(() => undefined); // the caller of this read gets the error; the next one only waits for its end
    return turn;
  }
}

function targetOf({ url, push }: Subscription, secret: string): PushTarget {
  if (push === null) throw new Error("this subscription is not a browser's");
  const keys: BrowserKeys = Keys.parse(JSON.parse(secret));
  return { url, keys, settings: push };
}

/** The same for the same client, URL, event and arguments, and for nobody else (SEP-3415, "Derived id"). */
async function idOf({ user, credential, url, name, arguments: args }: UnsubscribeRequest): Promise<string> {
  const href = URL.canParse(url) ? new URL(url).href : url;
  return `sub_${hex(await sha256(JSON.stringify([user, credential, href, name, args]))).slice(0, ID_CHARACTERS)}`;
}

function iso(ms: number): string {
  return new Date(ms).toISOString();
}
