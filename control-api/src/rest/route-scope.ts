import type { Scope } from "../sign-in/scope.ts";

/** What shows how an account is used and by whom; to read it is to manage the account. */
const PRIVATE = /^\/api\/(?:tokens|grants|audit)(?:\/|$)/;

/** The scope that a request to the REST surface needs: to see takes any sign-in, to change takes `operator:admin`. */
export function scopeNeeded(method: string, pathname: string): Scope {
  const isReading = method === "GET" || method === "HEAD";
  return isReading && !PRIVATE.test(pathname) ? "operator:read" : "operator:admin";
}
