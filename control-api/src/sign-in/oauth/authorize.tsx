import type { PageApp, PageContext, Session } from "../page-context.ts";
import {
  AuthorizationError,
  authorizationErrorRedirect,
  type AuthRequest,
  CimdFetchError,
} from "@cloudflare/workers-oauth-provider";
import { Hono } from "hono";
import { machineAddressIn } from "#protocol/address.ts";
import { notify } from "../../audit/notice.ts";
import type { Env } from "../../env.ts";
import { shownName } from "../client-name.ts";
import { ConsentPage } from "../pages/consent-page.tsx";
import { formIn } from "../form.ts";
import { MessagePage } from "../../design/message-page.tsx";
import { respond } from "../../design/respond.tsx";
import { isFromOwnPage } from "../same-site.ts";
import { isLoopbackHost } from "#protocol/loopback-host.ts";
import { requestedScopes, type Scope } from "../../http/scope.ts";
import { type Identified, isMeant, shownIn } from "../../http/shown-machine.ts";
import { confirmFirst, formToken, isFormToken, sessionOf } from "../session.ts";
import { accountsOf } from "../accounts/directory.ts";
import { addressOf } from "../address.ts";
import { completeGrant } from "./completed-grant.ts";
import { hasDocument, mayFetchDocument, requireOwnDocument } from "./client.ts";
import { oauthApi, OAuthPath } from "./authorization-server.ts";
import type { GrantProps } from "./grant-token.ts";
import { redirectRefusal } from "./redirect-uri.ts";
import { machineAt } from "./machine-at.ts";
import { repeatedIn, withValues } from "./parameters.ts";
import { type Audience, audienceNamed } from "./resource.ts";

type Asked = { request: AuthRequest; api: ReturnType<typeof oauthApi>; audience: Audience };

const CHANGED = "Your machines have changed since this page was shown. Look at them again. Nothing was allowed.";
const UNIDENTIFIED =
  "Which computer one of these machines is will be known again after `codez setup` was run on it. Until then an app cannot be limited to it.";

/** Maximum length of a client's query. Redirect URIs and states are long, but servers commonly limit request lines to 8 KB. */
const MAX_QUERY = 8_000;

/**
 * `/oauth/authorize`: a client requests access and a person decides (RFC 6749 section 4.1.1). GET shows the consent page and POST
 * takes the decision. Each reads and checks the whole query, so nothing that a form could change is trusted.
 */
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
    const form = await formIn(c);
    if (session === null) return c.redirect(`/sign-in?${new URLSearchParams({ next: pathOf(c) })}`, 303);
    if (!isFromOwnPage(c.req.raw) || !(await isFormToken(form.get("csrf"), session))) return consent(c, asked, session);
    if (form.get("decision") !== "allow")
      return c.redirect(authorizationErrorRedirect(asked.request, "access_denied", "The person denied access."), 303);
    if (!session.isFresh) return confirmFirst(c, pathOf(c));
    const scopes = form.get("read_only") === "yes" ? ["operator:read" as const] : requestedScopes(asked.request.scope);
    const shown = shownIn(form);
    const known = await offered(c, asked, session);
    const machines = known.filter((machine) => shown.some((one) => one.name === machine.name && isMeant(one, machine)));
    // What the page showed must be what is there: a machine's name may be another computer's by now. Without its limit the app would have all.
    const isSame = machines.length === form.getAll("machine").length;
    const isWhole = isApex(asked.audience, c.env) || known.length === machines.length;
    if (!isSame || !isWhole) return consent(c, asked, session, CHANGED);
    // Whichever computer has the address of no machine later was not what this person saw.
    if (machines.length === 0)
      return allow(c, asked, session, isApex(asked.audience, c.env) ? { scopes } : { scopes, machines: [] });
    const identities = machines.map(({ identity }) => identity);
    if (identities.includes("")) return consent(c, asked, session, UNIDENTIFIED);
    // Whoever manages the account, or makes tokens, would not be limited to these machines.
    const limited = scopes.filter((scope) => scope !== "operator:admin" && scope !== "operator:tokens");
    return allow(c, asked, session, { scopes: limited, machines: identities });
  }),
);

/** The machines that a grant may be limited to: for the apex all of the person's, for a machine's own address that one if it is theirs. */
async function offered(c: PageContext, { audience }: Asked, { person }: Session): Promise<Identified[]> {
  if (isApex(audience, c.env)) return c.env.USER.getByName(person.id).machineEntries();
  const addressed = await machineAt(audience, person.id, c.env);
  return addressed === null ? [] : [addressed];
}

async function consent(
  c: PageContext,
  asked: Asked,
  session: Session,
  refusal: string | null = null,
): Promise<Response> {
  const { request, api, audience } = asked;
  const client = await api.describeConsent(request);
  const machines = await offered(c, asked, session);
  const isForAll = isApex(audience, c.env);
  const page = (
    <ConsentPage
      person={session.person.name}
      csrf={await formToken(session)}
      client={{ ...client, clientName: shownName(client.clientName) }}
      scopes={requestedScopes(request.scope)}
      reach={reachOf(audience, c.env)}
      machines={isForAll ? machines : []}
      only={isForAll ? null : (machines[0] ?? null)}
      refusal={refusal}
    />
  );
  return respond({ title: "Allow an app", sendsTo: request.redirectUri, status: refusal === null ? 200 : 409 }, page);
}

type Allowed = { readonly scopes: Scope[]; readonly machines?: readonly string[] };

async function allow(
  c: PageContext,
  { request, api }: Asked,
  { person }: Session,
  { scopes: scope, machines }: Allowed,
): Promise<Response> {
  const limit = machines === undefined ? {} : { machines };
  const client = shownName((await api.describeConsent(request)).clientName);
  await accountsOf(c.env).keepClient(request.clientId);
  const allowed = {
    request,
    userId: person.id,
    metadata: { client, home: homeOf(request.redirectUri), ...limit },
    scope,
    props: { client, approvedMs: Date.now(), ...limit } satisfies GrantProps,
  };
  const to = await completeGrant(api, allowed, c.env);
  // An app's document is fetched meanwhile, which the app can hold up for seconds. This browser may have been signed out since.
  if ((await sessionOf(c)) === null) {
    await c.env.USER.getByName(person.id).endUnredeemedGrants();
    return c.redirect(`/sign-in?${new URLSearchParams({ next: pathOf(c) })}`, 303);
  }
  notify(c.env, person.id, { type: "notice.app_allowed", what: client, by: "consent page" });
  return new Response(null, {
    status: 303,
    headers: { location: to.href, "cache-control": "no-store", "referrer-policy": "no-referrer" },
  });
}

/**
 * Parses and checks the client's request. An error is shown here. If the redirect URI was found to be registered for this client, the page
 * has a link there, which tells the app. No browser is sent there without a decision of its person: anyone may register an app, and
 * this endpoint would be an open redirect (RFC 6749 section 4.1.2.1, RFC 9700 section 4.11.2). Repeated parameters are refused (RFC 6749
 * section 3.1), because two programs may pick different ones.
 */
async function checked(c: PageContext, go: (asked: Asked) => Promise<Response>): Promise<Response> {
  try {
    const url = new URL(c.req.url);
    if (url.search.length > MAX_QUERY) return refused(c, "The request is too long.");
    const twice = repeatedIn(url.searchParams);
    if (twice !== undefined) return refused(c, `The request contains the parameter "${twice}" more than once.`);
    const canonical = new URL(`${c.env.ORIGIN}${OAuthPath.AUTHORIZE}?${withValues(url.searchParams)}`);
    const resource = canonical.searchParams.get("resource");
    const audience = resource === null ? null : audienceNamed(resource, c.env);
    if (audience !== null) canonical.searchParams.set("resource", audience);
    const api = oauthApi(c.env, audience ?? undefined);
    const isTooMany =
      hasDocument(canonical.searchParams.get("client_id") ?? "") &&
      !(await mayFetchDocument(addressOf(c.req.raw, c.env), c.env));
    if (isTooMany) return refused(c, "The server has looked up too many apps lately. Try again in a few minutes.");
    const request = await api.parseAuthRequest(new Request(canonical));
    await requireOwnDocument(request.clientId);
    const refusal = redirectRefusal(request.redirectUri);
    if (refusal !== null) return refused(c, refusal);
    if (request.codeChallenge === undefined) {
      const why = "PKCE with S256 is required.";
      return refused(c, why, authorizationErrorRedirect(request, "invalid_request", why));
    }
    return await go({ request, api, audience: String(request.resource) });
  } catch (reason) {
    if (reason instanceof AuthorizationError) {
      const { redirectTo, redirectUri } = reason;
      const isSafe = redirectTo !== undefined && redirectUri !== undefined && redirectRefusal(redirectUri) === null;
      return refused(c, reason.description, isSafe ? redirectTo : null);
    }
    if (reason instanceof CimdFetchError) return refused(c, "The app's metadata document could not be read.");
    throw reason;
  }
}

/** `back`: where the app hears of it, if its person goes there. */
function refused(c: PageContext, reason: string, back: string | null = null): Response {
  const page = (
    <MessagePage title="This request is not valid">
      <p>{reason}</p>
      <p class="soft">Go back to the app and start again. If it happens again, the app has a bug.</p>
      {back === null ? null : (
        <a class="button plain" href={back}>
          Go back to the app at {new URL(back).hostname}
        </a>
      )}
    </MessagePage>
  );
  return respond({ title: "Invalid request", status: 400 }, page);
}

function pathOf(c: PageContext): string {
  return `${OAuthPath.AUTHORIZE}${new URL(c.req.url).search}`;
}

/** Where an app lives, so that its person can tell it from another one of the same name. */
function homeOf(redirectUri: string): string {
  const { protocol, hostname } = new URL(redirectUri);
  if (protocol !== "https:" && protocol !== "http:") return `an app for ${protocol.slice(0, -1)}`;
  return isLoopbackHost(hostname) ? "a program on a computer" : hostname;
}

function isApex(audience: Audience, env: Env): boolean {
  return machineAddressIn(new URL(audience), env.DOMAIN) === null;
}

function reachOf(audience: Audience, env: Env): string {
  const machine = machineAddressIn(new URL(audience), env.DOMAIN);
  return machine === null ? "All your machines" : `The machine ${machine.slug}`;
}
