import { type Caller, callerWith } from "../http/caller.ts";
import { ALL_SCOPES } from "../http/scope.ts";
import type { Session } from "../sign-in/page-context.ts";

/** How the pages' own calls to machines are named in the audit log. */
export const WEB_CLIENT = "web page";

/** A person in front of their browser, as the tools and the log know callers. Nothing is fresh by itself: pages ask for that. */
export function webCaller({ person }: Session): Caller {
  return callerWith({
    user: person.id,
    client: WEB_CLIENT,
    machines: null,
    computers: null,
    scopes: ALL_SCOPES,
    freshUntilMs: 0,
  });
}
