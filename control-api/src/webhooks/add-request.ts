import type { BrowserKeys } from "../push/encrypt.ts";
import type { BrowserCredential, Credential } from "../http/caller.ts";
import type { SubscriptionFilter } from "../mcp-events/subscription-arguments.ts";

/** A webhook that a person adds. */
export type AddRequest = {
  readonly user: string;
  readonly client: string;
  /** What it ends with; `null` if it belongs to the person. `by`: the browser in which they add it then. */
  readonly credential: Credential | null;
  readonly by?: BrowserCredential;
  readonly kind: "webhook" | "ntfy";
  readonly url: string;
  /** Names of event types; `null` for all. */
  readonly types: readonly string[] | null;
  readonly filter: SubscriptionFilter;
};

/** A browser that shows notifications from now on. `zone` is its time zone. */
export type AddPushRequest = {
  readonly user: string;
  readonly credential: BrowserCredential;
  readonly browser: string;
  readonly endpoint: string;
  readonly keys: BrowserKeys;
  readonly zone: string;
};

/** The webhook, and the secret with which its messages are signed, which is shown only now. ntfy checks no signatures. */
export type Added = { readonly id: string; readonly url: string; readonly secret: string | null };
