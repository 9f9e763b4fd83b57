import { Hono } from "hono";
import { errorResponse } from "#protocol/error.ts";
import type { DeliveryRecord } from "../delivery/delivery.ts";
import { deliveryScopeOf } from "../delivery/delivery-scope.ts";
import { deliveryView } from "../delivery/delivery-view.ts";
import type { AppContext } from "../http/app-context.ts";
import type { Caller } from "../http/caller.ts";
import { acting, reading } from "../http/needs.ts";
import { registryOf } from "../user/user-rpc.ts";

/** Deliveries in one list: those of a busy day. */
const LISTED = 200;

/** `/api/deliveries`: what became of calls with a key, for the client that made them. */
export const deliveries = new Hono<AppContext>();

deliveries.get("/", reading, async (c) => {
  const { caller } = c.var;
  const all: DeliveryRecord[] = await registryOf(c.env, caller.user).listDeliveries(deliveryScopeOf(caller), LISTED);
  return c.json({ deliveries: all.filter((record) => mayRead(caller, record)).map(deliveryView) });
});

deliveries.get("/:key", reading, async (c) => {
  const { caller } = c.var;
  const registry = registryOf(c.env, caller.user);
  const found: DeliveryRecord | null = await registry.delivery(deliveryScopeOf(caller), c.req.param("key"));
  return found !== null && mayRead(caller, found) ? c.json(deliveryView(found)) : notThere();
});

/** Cancels a call that waits for its machine. */
deliveries.delete("/:key", acting, async (c) => {
  const { caller } = c.var;
  const [registry, scope, key] = [registryOf(c.env, caller.user), deliveryScopeOf(caller), c.req.param("key")];
  const found: DeliveryRecord | null = await registry.delivery(scope, key);
  if (found === null || !mayRead(caller, found)) return notThere();
  const done: { record: DeliveryRecord; isCancelled: boolean } | null = await registry.cancelDelivery(scope, key);
  return done === null ? notThere() : c.json({ cancelled: done.isCancelled, delivery: deliveryView(done.record) });
});

function mayRead({ machines }: Caller, { machine }: DeliveryRecord): boolean {
  return machines?.includes(machine) ?? true;
}

function notThere(): Response {
  return errorResponse({
    code: "not_found",
    reason: "There is no call of yours with this key. They are kept for a day.",
  });
}
