import { machineAddressIn } from "#protocol/address.ts";
import { errorResponse } from "#protocol/error.ts";
import { discardUnread } from "#protocol/unread-body.ts";
import { app } from "./app.ts";
import { senderOf } from "./sign-in/address.ts";
import { admit } from "./sign-in/admission.ts";
import { admitBatch } from "./sign-in/batch.ts";
import type { Caller } from "./http/caller.ts";
import { Lease } from "./sign-in/lease.ts";
import { allowOrigin, preflight } from "./http/cross-origin.ts";
import type { Env } from "./env.ts";
import { foreignHost, unreadForm } from "./design/error-page.tsx";
import { wantsPage } from "./design/page-wanted.ts";
import { MAX_BODY_BYTES, MAX_PROMPT_BYTES, withBody, withStatedBody } from "./http/body-within.ts";
import { harmless, refuseNavigation } from "./http/harmless.ts";
import { refuseClearText, refuseForeignHost } from "./http/host.ts";
import { passThrough } from "./machines/machine-proxy.ts";
import { serveMcp } from "./mcp/endpoint.ts";
import { refuse, refuseCall } from "./http/refusal.ts";
import { isMetadata, metadata } from "./sign-in/oauth/metadata.ts";

/** The public gate. Calls to machines are nearly all of the traffic and skip the router; everything else goes to the app. */
export const gate = {
  async fetch(request: Request, env: Env, ctx: ExecutionContext): Promise<Response> {
    const response = await answer(request, env, ctx).catch((reason: unknown) => {
      // The app and the tools answer their own failures. Here arrive those of what comes before, such as signing a caller in.
      console.error("a request failed", { path: URL.parse(request.url)?.pathname, reason: String(reason) });
      return errorResponse({ code: "internal" });
    });
    await discardUnread(request);
    return response;
  },
};

async function answer(request: Request, env: Env, ctx: ExecutionContext): Promise<Response> {
  // The runtime joins the host and the path without looking at them: `Host: a:99999` is no part of a URL.
  const url = URL.parse(request.url);
  if (url === null)
    return errorResponse({ code: "invalid_request", reason: "The request has no valid host and path." });
  const machine = machineAddressIn(url, env.DOMAIN);
  const foreign =
    refuseClearText(url.protocol, env) ?? (machine === null ? refuseForeignHost(url.hostname, env) : null);
  if (foreign !== null) return wantsPage(request) ? foreignHost(env.ORIGIN) : foreign;
  if (isMetadata(url)) return metadata(request, url, env, ctx);
  if (machine !== null) return passThrough(request, url, env, machine);
  if (url.pathname !== "/mcp") return own(request, url, env, ctx);
  if (request.method === "OPTIONS") return preflight(request);
  const refused = refuseNavigation(request);
  if (refused !== null) return refused;
  const caller = await admit(request, env, url);
  const response =
    "refused" in caller
      ? await refuseCall(caller, request, senderOf(request, env), url, env)
      : await unified(request, url, env, caller);
  return allowOrigin(request, harmless(response));
}

/** The answer of Operator's own pages and API. */
async function own(request: Request, url: URL, env: Env, ctx: ExecutionContext): Promise<Response> {
  const whole = isUpload(request, url)
    ? request
    : isPrompt(request, url)
      ? withStatedBody(request, MAX_PROMPT_BYTES)
      : await withBody(request, senderOf(request, env));
  if (!(whole instanceof Response)) return app.fetch(whole, env, ctx);
  if (!wantsPage(request) || url.pathname.startsWith("/api/")) return whole;
  return unreadForm(isPrompt(request, url) ? MAX_PROMPT_BYTES : MAX_BODY_BYTES, whole.status === 429 ? 429 : 400);
}

/**
 * Whether a request sends a prompt from a page, which may have a photo. These routes look for the browser's session before they read
 * anything, so what a stranger sends is not read.
 */
function isPrompt({ method, headers }: Request, { pathname }: URL): boolean {
  return (
    method === "POST" && /^\/sessions\/(?:new|[^/]+\/[^/]+\/prompt)$/.test(pathname) && headers.has("content-length")
  );
}

/**
 * Whether a request deploys a hosted server, which may have several megabytes. Its route reads nothing before it knows the caller, and then
 * only what states its length. A spelling of the path that is not recognised here gets the smaller limit.
 */
function isUpload({ method, headers }: Request, { pathname }: URL): boolean {
  return method === "PUT" && /^\/api\/servers\/[^/]+$/.test(pathname) && headers.has("content-length");
}

/** The unified endpoint's answer. It ends when the caller's authorisation does. */
async function unified(request: Request, url: URL, env: Env, caller: Caller): Promise<Response> {
  const lease = Lease.of(request, env, url, caller);
  if ("refused" in lease) return refuseCall(lease, request, senderOf(request, env), url, env);
  const admitted = async (messages: number) => lease.admit(messages) ?? admitBatch(request, env, url, messages);
  const response = await lease.during(serveMcp(request, env, caller, lease, admitted));
  return response === null ? refuse({ refused: "bad_token" }, url, env) : lease.cover(response);
}
