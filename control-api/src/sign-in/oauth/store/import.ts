import { WorkerEntrypoint } from "cloudflare:workers";
import * as z from "zod/mini";
import type { StoreBindings } from "./store-rpc.ts";
import { Store } from "./store.ts";

/** Keys as a KV namespace lists them, with their values. */
const Entries = z.object({
  entries: z.array(
    z.object({
      name: z.string(),
      value: z.string(),
      /** Seconds since 1970. */
      expiration: z.optional(z.int()),
      metadata: z.optional(z.unknown()),
    }),
  ),
});

/**
 * Moves the contents of release 0.1's KV namespace into the store: `POST { entries }`. It is a separate entrypoint that no public
 * route reaches, because it writes grants without any check: the program that starts Operator binds it to a socket or a service
 * and calls it once. Existing keys are not overwritten, so the move can be repeated.
 */
export class OAuthImport extends WorkerEntrypoint<StoreBindings> {
  override async fetch(request: Request): Promise<Response> {
    const parsed = Entries.safeParse(await request.json().catch(() => null));
    if (!parsed.success) return new Response("send { entries }", { status: 400 });
    const store = new Store(this.env);
    let moved = 0;
    for (const { name, value, ...options } of parsed.data.entries) {
      if ((await store.get(name)) !== null) continue;
      await store.put(name, value, options);
      moved += 1;
    }
    return Response.json({ moved });
  }
}
