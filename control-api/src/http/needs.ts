import { createMiddleware } from "hono/factory";
import { errorResponse } from "#protocol/error.ts";
import { type Caller, isFresh } from "./caller.ts";
import { covers, type Scope } from "./scope.ts";
import type { AppContext } from "./app-context.ts";
import { refuse, stepUp } from "./refusal.ts";

/**
 * Middleware that lets only callers with `scope` reach a route. It is attached to the route itself. If it matched paths
 * separately, a spelling of the path (percent-encoding, case, slashes) could reach the route without the check.
 *
 * Administering means seeing and changing the whole account, so a token that is limited to some machines cannot do it.
 */
function needs(scope: Scope) {
  return createMiddleware<AppContext>(async (c, next) => {
    const url = new URL(c.req.url);
    const caller: AppContext["Variables"]["caller"] | undefined = c.var.caller;
    if (caller === undefined) return refuse({ refused: "no_token" }, url, c.env);
    const isLimited = scope === "operator:admin" && caller.machines !== null;
    if (isLimited || !covers(caller.scopes, [scope]))
      return stepUp([scope], url, c.env, `This request needs the scope ${scope}.`);
    return next();
  });
}

/** For routes that show machines and their events. */
export const reading = needs("operator:read");

/** For routes that do what a tool call that acts could do. */
export const acting = needs("operator:act");

/** For routes that manage machines, and that show or change who uses the account. */
export const administering = needs("operator:admin");

/**
 * For routes that make what outlives the request, such as tokens. A thief could keep what a stolen token makes, so a person has to have
 * signed in recently, or to have allowed the token to make others.
 */
export const creating = createMiddleware<AppContext>(
  async (c, next) => refuseStale(c.var.caller, "Making a token or a key", `${c.env.ORIGIN}/account`) ?? next(),
);

/**
 * The refusal of what outlives its request, or cannot be undone, for a caller behind whom there need not be a person; `null` for any other.
 * @param page where a person can do the same
 */
export function refuseStale(caller: Caller, what: string, page: string): Response | null {
  if (isFresh(caller) || caller.scopes.includes("operator:tokens")) return null;
  return errorResponse({ code: "fresh_sign_in_needed", what, page });
}
