import { errorResponse } from "#protocol/error.ts";
import { OPERATOR_PREFIX, OperatorHeader } from "#protocol/header.ts";
import { ScriptPath } from "#protocol/script-api.ts";
import { discardUnread } from "#protocol/unread-body.ts";
import { destinationOf } from "./destination.ts";
import { dial } from "./dial.ts";
import type { Env } from "./env.ts";
import { isGateSecret } from "./gate-secret.ts";
import { scriptFailure } from "./script-failure.ts";

/**
 * CPU time and subrequests that one call may use in a machine script. A relayed call needs a few milliseconds; the rest is for
 * large bodies.
 */
const LIMITS = { cpuMs: 10_000, subRequests: 50 };

/** Authenticates the gate, removes headers that must not pass, and forwards the request to the machine's script. */
export const app = {
  async fetch(request: Request, env: Env): Promise<Response> {
    const response = await answer(request, env);
    await discardUnread(request);
    return response;
  },
};

async function answer(request: Request, env: Env): Promise<Response> {
  const isTrusted = isGateSecret(request.headers.get(OperatorHeader.SECRET), env);
  // The runtime joins the host and the path without looking at them, as it does for the gate.
  const url = URL.parse(request.url);
  if (url === null)
    return errorResponse(
      isTrusted
        ? { code: "invalid_request", reason: "The request has no valid host and path." }
        : { code: "unauthorized" },
    );
  const destination = destinationOf(request, url, env.DOMAIN, isTrusted);
  const isLink = destination?.path === ScriptPath.LINK;
  // Without the secret this is the only answer, so nobody can find out which machines exist.
  if (!isTrusted && !isLink) return errorResponse({ code: "unauthorized" });
  if (destination === null)
    return errorResponse({
      code: "machine_unknown",
      machine: request.headers.get(OperatorHeader.MACHINE) ?? url.hostname,
    });
  const { slug, path } = destination;
  if (path !== url.pathname) url.pathname = path;
  const forwarded = changeable(request, url.href);
  clean(forwarded.headers, isTrusted, isLink);
  const script = env.DISPATCH.get(slug, {}, { limits: LIMITS });
  if (isLink) return dial(script, forwarded, slug);
  try {
    return await script.fetch(forwarded);
  } catch (reason) {
    return errorResponse(scriptFailure(reason, slug, LIMITS.cpuMs));
  }
}

/**
 * The request with headers that can be changed, for this URL. A gate that runs in the same isolate (scripts/local/inner-worker.ts) made the
 * request for this one call, so it need not be copied.
 */
function changeable(request: Request, href: string): Request {
  if (request.url !== href) return new Request(href, request);
  try {
    request.headers.delete(OperatorHeader.SECRET);
    return request;
  } catch {
    return new Request(request); // as it came from outside
  }
}

/** Headers of a trusted gate that are meant for the script. */
const FOR_SCRIPT: ReadonlySet<string> = new Set([OperatorHeader.CALLER, OperatorHeader.MARK_END]);

/** Removes Operator's own headers, except what a trusted gate says to the script, and credentials, except a link's token. */
function clean(headers: Headers, isTrusted: boolean, isLink: boolean): void {
  const ours: string[] = [];
  for (const name of headers.keys())
    if (name.startsWith(OPERATOR_PREFIX) && !(isTrusted && FOR_SCRIPT.has(name))) ours.push(name);
  for (const name of ours) headers.delete(name);
  if (!isLink) headers.delete("authorization");
  headers.delete("proxy-authorization");
  headers.delete("cookie");
}
