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
import { oauthError, unavailable } from "./oauth-error.ts";
import { Store } from "./store/store.ts";
import { apexAudience, type Audience, audienceNamed, spelled } from "./resource.ts";

/** A code, a verifier, an assertion: a few kilobytes. */
const MAX_BODY_BYTES = 64 * 1024;

/** `userId:grantId:secret`: codes, access and refresh tokens alike. */
const SECRET = /^([a-z0-9-]{1,64}):([A-Za-z0-9_-]{1,64}):[A-Za-z0-9_-]+$/;

/** What is read of a grant as the library keeps it (its storage-schema.md). */
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
  const body = await formOf(request);
  if (body === null) return oauthError("invalid_request", "Send a form of at most 64 KiB.");
  const repeated = [...new Set(body.keys())].find((name) => name !== "resource" && body.getAll(name).length > 1);
  if (repeated !== undefined) return oauthError("invalid_request", `"${repeated}" is there twice.`);
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
  const [, user, id] = SECRET.exec(body.get("code") ?? body.get("refresh_token") ?? body.get("token") ?? "") ?? [];
  const kept = user === undefined ? null : await new Store(env).get(`grant:${user}:${id}`, "json");
  const grant = Grant.safeParse(kept).data;
  const named = canonicalResource(body, env);
  const asked = { grant: id ?? "", audience: grant?.resource ?? apexAudience(env), authorization, body: named.body };
  // Without a grant there is nothing to guard, and nobody's object to wake: the library says what is wrong.
  const isTheirs = user !== undefined && grant !== undefined;
  if (isTheirs && (await accountsOf(env).person(user)) === null)
    return oauthError("invalid_grant", "Who allowed this is not here any more.");
  // Grants are few; what is made up is not, and each would have a document fetched from wherever it says.
  const isMadeUp = !isTheirs && hasDocument(body.get("client_id") ?? "");
  if (isMadeUp && !(await mayFetchDocument(addressOf(request, env), env))) return unavailable();
  const answered = isTheirs ? await redeem(asked, user, env) : await askLibrary(asked, env);
  if (answered.status === 401 && (await isUnreadable(body.get("client_id"), env))) return unavailable();
  // A revocation has no grant type; and a code that is shown a second time ends its grant.
  if (isTheirs && (answered.status !== 200 || !body.has("grant_type"))) await env.USER.getByName(user).revoked();
  if (!body.has("grant_type")) {
    if (isTheirs && (await new Store(env).get(`grant:${user}:${id}`)) === null)
      note(env, user, { kind: "grant_revoked", client: nameOf(grant), subject: asked.audience });
  }
  if (isTheirs && answered.status === 200 && body.get("grant_type") === "authorization_code")
    note(env, user, { kind: "grant", client: nameOf(grant), subject: asked.audience });
  return responseOf(answered, named.asked ?? spelled(asked.audience, env));
}

/**
 * Whether a client's own document (CIMD) can't be read just now. The library answers that like a client it does not know,
 * whereupon clients throw their tokens away.
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

/** The body with its resource indicator under the canonical name. A resource that is not ours is left for the library to refuse. */
function canonicalResource(body: URLSearchParams, env: Env): { body: string; asked: string | null } {
  const [asked, ...others] = body.getAll("resource");
  const audience: Audience | null = asked === undefined || others.length > 0 ? null : audienceNamed(asked, env);
  if (asked === undefined || audience === null) return { body: body.toString(), asked: null };
  const canonical = new URLSearchParams(body);
  canonical.set("resource", audience);
  return { body: canonical.toString(), asked };
}

async function formOf(request: Request): Promise<URLSearchParams | null> {
  const isForm = request.headers.get("content-type")?.toLowerCase().startsWith("application/x-www-form-urlencoded");
  const length = Number(request.headers.get("content-length") ?? 0);
  if (isForm !== true || length > MAX_BODY_BYTES) return null;
  const text = new TextDecoder().decode(await request.arrayBuffer()); // workerd grumbles at text() of a form
  return text.length > MAX_BODY_BYTES ? null : new URLSearchParams(text);
}
