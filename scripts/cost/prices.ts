/**
 * Cloudflare's prices in US dollars, as its documentation had them in November 2026: Workers for Platforms ("Pricing") and Durable Objects
 * ("Pricing"). `included` is what a month of the plan has in it; `per` units more cost `price`.
 */
export const PRICES_OF = "2026-11";

export const PLAN_PRICE = 25;

export type Price = { readonly included: number; readonly price: number; readonly per: number };

const MILLION = 1_000_000;

export const PRICES = {
  requests: { included: 20 * MILLION, price: 0.3, per: MILLION },
  scripts: { included: 1_000, price: 0.02, per: 1 },
  objectRequests: { included: MILLION, price: 0.15, per: MILLION },
  /** GB-seconds. An object counts as 128 MB while it is in memory and not hibernating. */
  duration: { included: 400_000, price: 12.5, per: MILLION },
  cpuMs: { included: 60 * MILLION, price: 0.02, per: MILLION },
  rowsRead: { included: 25_000 * MILLION, price: 0.001, per: MILLION },
  rowsWritten: { included: 50 * MILLION, price: 1, per: MILLION },
} as const satisfies Record<string, Price>;

/** WebSocket messages to an object are counted as one request for so many. */
export const MESSAGES_PER_REQUEST = 20;

export const OBJECT_GB = 0.128;
