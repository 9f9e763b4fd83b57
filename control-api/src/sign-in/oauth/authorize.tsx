import type { PageApp, PageContext, Session } from "../page-context.ts";
import {
  AuthorizationError,
  authorizationErrorRedirect,
  type AuthRequest,
  CimdFetchError,
} from "@cloudflare/workers-oauth-provider";
import { Hono } from "hono";
import { machineAddressIn } from "#protocol/address.ts";
import type { Env } from "../../env.ts";
import { shownName } from "../client-name.ts";
import { ConsentPage } from "../pages/consent-page.tsx";
import { MessagePage } from "../pages/message-page.tsx";
import { respond } from "../pages/respond.tsx";
import { isFromOwnPage } from "../same-site.ts";
import { requestedScopes, type Scope } from "../../http/scope.ts";
import { formToken, isFormToken, sessionOf } from "../session.ts";
import { addressOf } from "../address.ts";
import { hasDocument, mayFetchDocument } from "./client.ts";
import { oauthApi, OAuthPath } from "./authorization-server.ts";
import { redirectRefusal } from "./redirect-uri.ts";
import { type Audience, audienceNamed } from "./resource.ts";

type Asked = { request: AuthRequest; api: ReturnType<typeof oauthApi>; audience: Audience };

/** A client's request, at most: addresses and states are long, but not longer than what servers take as a request line. */
const MAX_QUERY = 8_000;

/** `/oauth/authorize`: a client asks, a person answers. The query is read and checked anew for each of its two steps. */
export const authorize = new Hono<PageApp>();

authorize.get("/", (c) =>
  checked(c, async (asked) => {
    const session = await sessionOf(c);
    if (session === null) return c.redirect(`/sign-in?${new URLSearchParams({ next: pathOf(c) })}`, 303);
    return consent(c, asked, session);
  }),
);

authorize.post("/", (c) =>
  checked(c, async (asked) => {
    const session = await sessionOf(c);
    const form = await c.req.formData();
    if (session === null) return c.redirect(`/sign-in?${new URLSearchParams({ next: pathOf(c) })}`, 303);
    if (!isFromOwnPage(c.req.raw) || !(await isFormToken(form.get("csrf"), session))) return consent(c, asked, session);
    if (form.get("decision") !== "allow")
      return c.redirect(authorizationErrorRedirect(asked.request, "access_denied", "The person said no."), 303);
    const scopes = requestedScopes(asked.request.scope);
    return allow(c, asked, session, form.get("read_only") === "yes" ? ["operator:read"] : scopes);
  }),
);

async function consent(c: PageContext, { request, api, audience }: Asked, session: Session): Promise<Response> {
  const client = await api.describeConsent(request);
  const page = (
    <ConsentPage
      person={session.person.name}
      csrf={await formToken(session)}
      client={{ ...client, clientName: shownName(client.clientName) }}
      scopes={requestedScopes(request.scope)}
      reach={reachOf(audience, c.env)}
    />
  );
  return respond(c, { title: "Allow an app", sendsTo: request.redirectUri }, page);
}

async function allow(c: PageContext, { request, api }: Asked, { person }: Session, scope: Scope[]): Promise<Response> {
  const client = shownName((await api.describeConsent(request)).clientName);
  const { redirectTo } = await api.completeAuthorization({
    request,
    userId: person.id,
    metadata: { client },
    scope,
    props: { client },
  });
  return new Response(null, {
    status: 303,
    headers: { location: redirectTo, "cache-control": "no-store", "referrer-policy": "no-referrer" },
  });
}

/** Reads the client's request. Errors go back to the client only once it is known that its redirect address is its own. */
async function checked(c: PageContext, go: (asked: Asked) => Promise<Response>): Promise<Response> {
  try {
    const url = new URL(c.req.url);
    if (url.search.length > MAX_QUERY) return refused(c, "The request is too long.");
    const canonical = new URL(`${c.env.ORIGIN}${OAuthPath.AUTHORIZE}${url.search}`);
    const twice = [...new Set(canonical.searchParams.keys())].find(
      (name) => canonical.searchParams.getAll(name).length > 1,
    );
    if (twice !== undefined) return refused(c, `The request has "${twice}" twice.`);
    const resource = canonical.searchParams.get("resource");
    const audience = resource === null ? null : audienceNamed(resource, c.env);
    if (audience !== null) canonical.searchParams.set("resource", audience);
    const api = oauthApi(c.env, audience ?? undefined);
    const isTooMany =
      hasDocument(canonical.searchParams.get("client_id") ?? "") &&
      !(await mayFetchDocument(addressOf(c.req.raw, c.env), c.env));
    if (isTooMany) return refused(c, "Too many apps were asked for their own description. Try again in some minutes.");
    const request = await api.parseAuthRequest(new Request(canonical));
    const refusal = redirectRefusal(request.redirectUri);
    if (refusal !== null) return refused(c, refusal);
    if (request.codeChallenge === undefined)
      return c.redirect(authorizationErrorRedirect(request, "invalid_request", "PKCE with S256 is required."), 303);
    return await go({ request, api, audience: String(request.resource) });
  } catch (reason) {
    if (reason instanceof AuthorizationError) {
      const { redirectTo, redirectUri } = reason;
      const isSafe = redirectTo !== undefined && redirectUri !== undefined && redirectRefusal(redirectUri) === null;
      return isSafe ? c.redirect(redirectTo, 303) : refused(c, reason.description);
    }
    if (reason instanceof CimdFetchError) return refused(c, "The app's own description could not be read.");
    throw reason;
  }
}

function refused(c: PageContext, reason: string): Response {
  const page = (
    <MessagePage title="This request is not in order">
      <p>{reason}</p>
      <p class="soft">Go back to the app and start again. If it happens again, the fault is in the app.</p>
    </MessagePage>
  );
  return respond(c, { title: "Not in order", status: 400 }, page);
}

function pathOf(c: PageContext): string {
  return `${OAuthPath.AUTHORIZE}${new URL(c.req.url).search}`;
}

function reachOf(audience: Audience, env: Env): string {
  const machine = machineAddressIn(new URL(audience), env.DOMAIN);
  return machine === null ? "All your machines" : `The machine ${machine.slug}`;
}
