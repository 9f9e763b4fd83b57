import type { Credential } from "../http/caller.ts";
import type { DeliveryFault } from "./events-error.ts";
import type { SubscriptionFilter } from "./subscription-arguments.ts";

/** What identifies a subscription (SEP-3415, "Subscription identity"). `credential` stands for the client of the person. */
export type UnsubscribeRequest = {
  readonly user: string;
  readonly credential: Credential | null;
  readonly name: string;
  /** Canonical JSON. */
  readonly arguments: string;
  readonly url: string;
};

/** A checked `events/subscribe`. */
export type SubscribeRequest = UnsubscribeRequest & {
  readonly client: string;
  /** Whether Operator learns when the caller's access ends; with MCPAuthKit it does not. */
  readonly isTracked: boolean;
  readonly filter: SubscriptionFilter;
  readonly secret: string;
  readonly cursor: string | null;
  readonly maxAgeMs: number | null;
  /** `null`: no expiry, as the client wishes; absent: whatever the server likes. */
  readonly ttlMs?: number | null;
};

/** The answer, as the SEP has it, and whether this made a new subscription. */
export type Subscribed = {
  readonly isNew: boolean;
  readonly result: {
    readonly id: string;
    readonly refreshBefore: string;
    readonly cursor: string;
    readonly truncated: boolean;
    readonly deliveryStatus?: {
      readonly active: boolean;
      readonly lastDeliveryAt: string | null;
      readonly lastError: DeliveryFault | null;
      readonly failedSince?: string;
    };
  };
};
