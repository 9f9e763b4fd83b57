import * as z from "zod/mini";
import { base64Url, sha256 } from "#protocol/bytes.ts";
import type { InboxItem } from "../inbox/inbox-item.ts";
import { parseSessionHandle } from "../machines/session-handle.ts";
import { type BrowserKeys, encryptPush } from "./encrypt.ts";
import { type Notification, notificationOf, TEST_NOTIFICATION, type Told } from "./notification.ts";
import { ASKED_TYPES, type PushSettings } from "./push-settings.ts";
import { quietUntil } from "./quiet-hours.ts";
import { vapidHeader, type VapidKey } from "./vapid.ts";

const SECOND_MS = 1_000;

/**
 * How long a push service keeps a notification for a browser that is not reachable: as long as a request waits, and otherwise half a
 * day, after which the news are old. Seconds.
 */
const KEPT_S = 12 * 60 * 60;
const MAX_KEPT_S = 7 * 24 * 60 * 60;

/** A test is looked at now or never. Seconds. */
const TEST_KEPT_S = 60;

/** Characters of a topic (RFC 8030, section 5.4): a message that waits at the service is replaced by a later one of its topic. */
const TOPIC_CHARACTERS = 32;

const Occurrence = z.object({
  name: z.string(),
  data: z.looseObject({
    machine: z.string(),
    session: z.nullable(z.string()),
    request_id: z.optional(z.string()),
  }),
});

/** What a person's object knows of the computer that an event came from, whichever has its name by now (user/user-rpc.ts). */
export type PushSource = {
  /** The request of this id of the machine's. */
  asked(request: string): Promise<InboxItem | null>;
  session(session: string): Promise<Pick<Told, "project" | "title" | "cwd"> | null>;
};

/** A push subscription, opened. */
export type PushTarget = { readonly url: string; readonly keys: BrowserKeys; readonly settings: PushSettings };

/** A request to a push service. */
export type PushRequest = {
  readonly url: string;
  readonly body: Uint8Array;
  readonly headers: Readonly<Record<string, string>>;
};

/** Nobody needs to be told any more; or not before quiet hours are over. */
export type NoPush = { readonly outcome: "dropped" } | { readonly outcome: "later"; readonly untilMs: number };

/** How Operator identifies itself. `subject`: an address to turn to; `null` if it has no public one. */
export type PushIdentity = { readonly key: VapidKey; readonly subject: string | null };

/**
 * The request that tells one browser of an event.
 *
 * A request is looked up just before, because it may be decided by now: nobody needs to be told then. In quiet hours a request waits for
 * their end, and is told then if it still waits; other news are dropped.
 *
 * @param content JSON of the event, as the queue holds it
 */
export async function pushOf(
  target: PushTarget,
  content: string,
  source: PushSource,
  identity: PushIdentity,
  nowMs: number,
): Promise<PushRequest | NoPush> {
  const { name, data } = Occurrence.parse(JSON.parse(content));
  const { settings } = target;
  const isAsked = ASKED_TYPES.has(name);
  const untilMs = settings.quiet === null ? null : quietUntil(settings.quiet, settings.zone, nowMs);
  if (untilMs !== null) return isAsked ? { outcome: "later", untilMs } : { outcome: "dropped" };
  const item = isAsked ? await source.asked(data.request_id ?? "") : null;
  if (isAsked && (item === null || item.settled !== null || item.decision !== null || item.untilMs <= nowMs))
    return { outcome: "dropped" };
  const session = data.session === null ? null : parseSessionHandle(data.session).session;
  const known = item ?? (session === null ? null : await source.session(session));
  const told = {
    name,
    machine: data.machine,
    session,
    item,
    project: known?.project ?? null,
    title: known?.title ?? null,
    cwd: known?.cwd ?? null,
  };
  const keptS = item === null ? KEPT_S : Math.min(Math.ceil((item.untilMs - nowMs) / SECOND_MS), MAX_KEPT_S);
  return requestOf(target, notificationOf(told, settings.showsContent), identity, { keptS, isUrgent: isAsked, nowMs });
}

/** The request that says that notifications arrive. */
export function testPushOf(target: PushTarget, identity: PushIdentity, nowMs: number): Promise<PushRequest> {
  return requestOf(target, TEST_NOTIFICATION, identity, { keptS: TEST_KEPT_S, isUrgent: true, nowMs });
}

async function requestOf(
  { url, keys }: PushTarget,
  notification: Notification,
  { key, subject }: PushIdentity,
  { keptS, isUrgent, nowMs }: { readonly keptS: number; readonly isUrgent: boolean; readonly nowMs: number },
): Promise<PushRequest> {
  const headers = {
    authorization: await vapidHeader(key, url, subject, nowMs),
    "content-type": "application/octet-stream",
    "content-encoding": "aes128gcm",
    ttl: String(keptS),
    urgency: isUrgent ? "high" : "normal",
    // Hashed, because the service reads it.
    topic: base64Url(await sha256(notification.tag)).slice(0, TOPIC_CHARACTERS),
  };
  return { url, body: await encryptPush(JSON.stringify(notification), keys), headers };
}
