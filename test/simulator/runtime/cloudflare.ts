import { createClient as createRealClient } from "../../../node_modules/cloudflare/tree-shakable.mjs";
import { kernel } from "./kernel.ts";

type Fetch = (url: string, init: RequestInit) => Promise<Response>;

/** Where Cloudflare's API is in this simulation. */
export const api: { fetch: Fetch } = { fetch: () => Promise.reject(new Error("there is no platform")) };

/** Cloudflare's own SDK, which asks the simulated platform. */
export function createClient(options: Parameters<typeof createRealClient>[0]): ReturnType<typeof createRealClient> {
  const fetch = (url: unknown, init: unknown): Promise<Response> =>
    kernel.during(api.fetch(String(url), init as RequestInit));
  return createRealClient({ ...options, fetch: fetch as never });
}
