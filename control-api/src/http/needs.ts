import { createMiddleware } from "hono/factory";
import { covers, type Scope } from "./scope.ts";
import type { AppContext } from "./app-context.ts";
import { refuse, stepUp } from "./refusal.ts";

/**
 * Middleware of a route: only callers whose sign-in covers `scope` get to it. It stands on the very route that answers, so
 * that no way of writing the path (percent-encoding, case, slashes) can reach the route and not the check.
 *
 * To administer is to see and change the whole account; a caller that is limited to some machines can do neither.
 */
function needs(scope: Scope) {
  return createMiddleware<AppContext>(async (c, next) => {
    const url = new URL(c.req.url);
    const caller: AppContext["Variables"]["caller"] | undefined = c.var.caller;
    if (caller === undefined) return refuse({ refused: "no_token" }, url, c.env);
    const isLimited = scope === "operator:admin" && caller.machines !== null;
    if (isLimited || !covers(caller.scopes, [scope]))
      return stepUp([scope], url, c.env, `This needs the scope ${scope}.`);
    return next();
  });
}

/** To see machines, and what happens on them. */
export const reading = needs("operator:read");

/** To manage machines, and to see or change how the account is used and by whom. */
export const administering = needs("operator:admin");
