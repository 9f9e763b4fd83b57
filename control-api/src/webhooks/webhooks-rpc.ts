import type { OperatorError } from "#protocol/error.ts";
import type { SubscribeRequest, Subscribed, UnsubscribeRequest } from "../mcp-events/subscribe-request.ts";
import type { EventsError } from "../mcp-events/events-error.ts";
import type { DeadLetter } from "./deliveries.ts";
import type { AddPushRequest, AddRequest, Added } from "./add-request.ts";
import type { PushChoice } from "../push/push-settings.ts";
import type { ShownSubscription } from "./shown-subscription.ts";
import type { Renamed } from "../user/follower.ts";
import type { Posted } from "./post.ts";

type MaybeAsync<Result> = Result | Promise<Result>;

/** A person has asked for too many messages. `afterMs`: when the next one may be sent. */
export type TooOften = { readonly afterMs: number };

/** Everything that a person is shown of their subscriptions. `pending`: deliveries that wait, by subscription. */
export type Overview = {
  readonly subscriptions: readonly (ShownSubscription & { readonly pending: number })[];
  readonly dead: readonly DeadLetter[];
};

/**
 * The RPC methods of a person's object for webhooks. Methods answer errors instead of throwing them, because RPC does not preserve
 * the class of a thrown error.
 */
export interface WebhooksRpc extends Rpc.DurableObjectBranded {
  /** `events/subscribe`: makes a subscription or refreshes it. */
  subscribe(request: SubscribeRequest): MaybeAsync<Subscribed | { error: EventsError }>;
  /** `events/unsubscribe`. */
  unsubscribe(request: UnsubscribeRequest): MaybeAsync<EventsError | null>;

  /** Adds a webhook, or a topic of ntfy, of the person's own. */
  add(request: AddRequest): MaybeAsync<Added | OperatorError>;
  overview(): MaybeAsync<Overview>;

  /** The public key to which browsers of this person bind their subscriptions. Made when it is first asked for. */
  pushKey(user: string): MaybeAsync<string>;
  /** Turns on notifications in a browser. One that is known keeps its settings. */
  addPush(request: AddPushRequest): MaybeAsync<{ id: string } | OperatorError>;
  /** Says what a browser gets. Answers `false` if there is no such browser. */
  choosePush(id: string, types: readonly string[], choice: PushChoice): MaybeAsync<boolean>;
  /** Removes a subscription of any kind. Answers its URL, or `null` if there is none. */
  remove(id: string): MaybeAsync<string | null>;
  /** Sends a test message and answers how it went; `null` if there is no such webhook. A success ends a suspension. */
  tryOut(id: string): MaybeAsync<Posted | TooOften | null>;
  /** Tries given-up deliveries again. Answers how many, or `null` if there is no such subscription. */
  retry(id: string): MaybeAsync<number | TooOften | null>;

  /**
   * There is something new in the log, (`hasRevoked`) a grant or token was revoked, or machines were `renamed`, in this order. Resolves when the
   * news is stored.
   */
  wake(hasRevoked: boolean, renamed?: readonly Renamed[]): MaybeAsync<void>;
  /** Deletes the messages about a machine, or one of its sessions (by its handle), that wait or were given up. */
  forget(machine: string, session: string | null, computers: readonly string[]): MaybeAsync<void>;
  /** Deletes the webhooks and topics that end with no token, app or browser, since they are the person's own. */
  removeOwn(): MaybeAsync<void>;
  /** Deletes everything, and stores nothing from then on: the person is being removed. Can be repeated. */
  removeAll(): MaybeAsync<void>;
}

export type WebhooksBindings = {
  /** One Durable Object per user: their webhooks, the subscriptions of their MCP clients, and deliveries on the way. */
  readonly WEBHOOKS: DurableObjectNamespace<WebhooksRpc>;
};

export function webhooksOf(env: WebhooksBindings, user: string) {
  return env.WEBHOOKS.getByName(user);
}
