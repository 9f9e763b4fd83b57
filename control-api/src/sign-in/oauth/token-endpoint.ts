import { CimdFetchError } from "@cloudflare/workers-oauth-provider";
import * as z from "zod/mini";
import { allowOrigin, preflight } from "../../http/cross-origin.ts";
import type { Env } from "../../env.ts";
import { note } from "../../audit/note.ts";
import { addressOf } from "../address.ts";
import { oauthApi } from "./authorization-server.ts";
import { hasDocument, mayFetchDocument } from "./client.ts";
import { accountsOf } from "../accounts/directory.ts";
import { deviceToken } from "./device-token.ts";
import { askLibrary, redeem, responseOf } from "./redeem.ts";
import { DEVICE_GRANT } from "./metadata.ts";
import { namedClient } from "./named-client.ts";
import { oauthError, unavailable } from "./oauth-error.ts";
import { parametersIn } from "./parameters.ts";
import { Store } from "./store/store.ts";
import { apexAudience, type Audience, audienceNamed, spelled } from "./resource.ts";

/** The library's format of codes, access tokens and refresh tokens, `userId:grantId:secret`. */
const SECRET = /^([a-z0-9-]{1,64}):([A-Za-z0-9_-]{1,64}):[A-Za-z0-9_-]+$/;

/** The fields used here of a grant as the library stores it (see its storage-schema.md). */
const Grant = z.object({
  clientId: z.string(),
  resource: z.optional(z.string()),
  metadata: z.optional(z.object({ client: z.string() })),
});

/** `POST /oauth/token`: codes, refresh tokens, device codes, and revocation (RFC 6749, 7009, 8628). */
export async function tokenEndpoint(request: Request, env: Env): Promise<Response> {
  if (request.method === "OPTIONS") return preflight(request);
  return allowOrigin(request, await answer(request, env));
}

async function answer(request: Request, env: Env): Promise<Response> {
  if (request.method !== "POST") return oauthError("invalid_request", "Use POST.", 405, { allow: "POST, OPTIONS" });
  const body = await parametersIn(request);
  if (body instanceof Response) return body;
  try {
    if (body.get("grant_type") === DEVICE_GRANT) return await deviceToken(body, env);
    return await ofLibrary(body, request, env);
  } catch (reason) {
    console.error("the token endpoint failed", { reason: String(reason) });
    return unavailable(); // not invalid_grant: the client keeps its refresh token and tries again
  }
}

async function ofLibrary(body: URLSearchParams, request: Request, env: Env): Promise<Response> {
  const authorization = request.headers.get("authorization");
  const [, user, id] = SECRET.exec(secretIn(body)) ?? [];
  const kept = user === undefined ? null : await new Store(env).get(`grant:${user}:${id}`, "json");
  const grant = Grant.safeParse(kept).data;
  const named = canonicalResource(body, env);
  const asked = { grant: id ?? "", audience: grant?.resource ?? apexAudience(env), authorization, body: named.body };
  // Without an existing grant the library refuses the request by itself. Strangers must not be able to wake users' objects.
  const isTheirs = user !== undefined && grant !== undefined;
  if (isTheirs && (await accountsOf(env).person(user)) === null)
    return oauthError("invalid_grant", "The user who granted this has been removed.");
  // The library fetches the document of whichever client a request names, before it looks at the code. Unless that is the client to whom a
  // person gave this grant, the sender has chosen it.
  const client = namedClient(body, authorization);
  const isChosen = client !== null && hasDocument(client) && client !== grant?.clientId;
  if (isChosen && !(await mayFetchDocument(addressOf(request, env), env))) return unavailable();
  const answered = isTheirs ? await redeem(asked, user, env) : await askLibrary(asked, env);
  if (answered.status === 401 && (await isUnreadable(client, env))) return unavailable();
  // Open streams check their callers again after a revocation (a request without a grant type).
  if (isTheirs && isRevocation(body)) await env.USER.getByName(user).revoked();
  const hasEnded = async (): Promise<boolean> => (await new Store(env).get(`grant:${user}:${id}`)) === null;
  // The library ends a grant when its code is used a second time (RFC 6749 section 4.1.2). Everything ends with it that was made with it,
  // whichever of the two parties made it.
  const wasCode = isTheirs && answered.status !== 200 && body.get("grant_type") === "authorization_code";
  if (wasCode && (await hasEnded())) await env.USER.getByName(user).endGrant(asked.grant);
  if (isTheirs && isRevocation(body) && (await hasEnded()))
    note(env, user, { kind: "grant_revoked", client: nameOf(grant), subject: asked.audience });
  if (isTheirs && answered.status === 200 && body.get("grant_type") === "authorization_code")
    note(env, user, { kind: "grant", client: nameOf(grant), subject: asked.audience });
  return responseOf(answered, named.asked ?? spelled(asked.audience, env));
}

/**
 * The secret that a request is about, as the library chooses it: by the grant type alone. A request may have other fields, too, and whoever
 * sends it chooses them, so none of them may decide whose object redeems the secret.
 */
function secretIn(body: URLSearchParams): string {
  if (isRevocation(body)) return body.get("token") ?? "";
  switch (body.get("grant_type")) {
    case "authorization_code":
      return body.get("code") ?? "";
    case "refresh_token":
      return body.get("refresh_token") ?? "";
    default:
      return ""; // the library refuses every other type
  }
}

/** Whether a request revokes (RFC 7009). The library takes one with an empty grant type for that as well. */
function isRevocation(body: URLSearchParams): boolean {
  return (body.get("grant_type") ?? "") === "";
}

/**
 * Whether a client's metadata document (CIMD) cannot be read now. The library answers that with `invalid_client`, as for an
 * unknown client, and clients would then discard their tokens.
 */
async function isUnreadable(clientId: string | null, env: Env): Promise<boolean> {
  if (clientId?.startsWith("https:") !== true) return false;
  try {
    await oauthApi(env).lookupClient(clientId);
    return false;
  } catch (reason) {
    if (reason instanceof CimdFetchError) return true;
    throw reason;
  }
}

function nameOf(grant: z.infer<typeof Grant>): string {
  return grant.metadata?.client ?? grant.clientId;
}

/** The body with its resource indicator in canonical form. The library refuses a resource that is not one of this server's. */
function canonicalResource(body: URLSearchParams, env: Env): { body: string; asked: string | null } {
  const [asked, ...others] = body.getAll("resource");
  const audience: Audience | null = asked === undefined || others.length > 0 ? null : audienceNamed(asked, env);
  if (asked === undefined || audience === null) return { body: body.toString(), asked: null };
  const canonical = new URLSearchParams(body);
  canonical.set("resource", audience);
  return { body: canonical.toString(), asked };
}
