import { type Caller, callerWith, OWNER, type TokenAnswer } from "../http/caller.ts";
import type { Env } from "../env.ts";
import { hasForeignOrigin, isLoopbackCaller } from "../http/loopback.ts";
import type { Refusal } from "../http/refusal.ts";
import { callerOfAuthKit, isAuthKitToken } from "./authkit/caller.ts";
import { callerOfGrant } from "./oauth/grant-token.ts";
import { audienceOf } from "./oauth/resource.ts";
import { ALL_SCOPES } from "../http/scope.ts";
import { userOfToken } from "./access-token.ts";
import { isExistingUser, vouchFor } from "./existing-user.ts";
import { isLocalToken } from "./local-token.ts";

/**
 * Identifies the caller by its bearer token. Three kinds are accepted: an OAuth access token issued for exactly this resource, a
 * personal access token, and, on a local start, the owner's token that programs on the computer read from a file.
 *
 * If a token is sent, it alone decides: a request with an invalid token is refused even if it comes over loopback. Tokens are
 * read from the `Authorization` header only. RFC 6750 section 2.3 also allows them in the query, where they would end up in logs
 * and browser histories.
 *
 * @param counts whether this is a request that a token's budget counts; `false` when the caller of a running one is checked again
 */
export async function authenticate(request: Request, env: Env, url: URL, counts: boolean): Promise<Caller | Refusal> {
  const authorization = request.headers.get("authorization");
  if (authorization !== null) {
    const token = /^Bearer (\S{1,2048})$/i.exec(authorization)?.[1];
    return token === undefined ? { refused: "bad_token" } : bearer(token, env, url, counts);
  }
  if (!env.LOOPBACK_OWNER) return { refused: "no_token" };
  if (isLoopbackCaller(request)) {
    await vouchFor(env.LOOPBACK_OWNER, env);
    return callerWith({ ...LOCAL, user: env.LOOPBACK_OWNER, client: "loopback" });
  }
  return { refused: hasForeignOrigin(request) ? "foreign_origin" : "no_token" };
}

async function bearer(token: string, env: Env, url: URL, counts: boolean): Promise<Caller | Refusal> {
  const user = userOfToken(token);
  if (user === OWNER && (await isLocalToken(token, env.OWNER_TOKEN_HASH))) return localOwner();
  if (user !== null) {
    if (!(await isExistingUser(user, env))) return { refused: "bad_token" };
    const answer: TokenAnswer = await env.USER.getByName(user).authenticate(token, counts);
    if (answer === null) return { refused: "bad_token" };
    if (!("spent" in answer)) return answer;
    const { perDay, afterMs } = answer.spent;
    return { refused: "budget_spent", perDay, afterMs };
  }
  if (env.AUTHKIT_URL) return isAuthKitToken(token) ? vouchedByAuthKit(token, env) : { refused: "bad_token" };
  return callerOfGrant(token, audienceOf(url, env), env);
}

async function vouchedByAuthKit(token: string, env: Env): Promise<Caller | Refusal> {
  const caller = await callerOfAuthKit(token, env);
  if (!("refused" in caller)) await vouchFor(caller.user, env);
  return caller;
}

function localOwner(): Caller {
  return callerWith({ ...LOCAL, user: OWNER, client: "this computer" });
}

/** The owner on their own computer: a file that only they can read stands for them, so they are never asked to sign in again. */
const LOCAL = {
  machines: null,
  computers: null,
  scopes: ALL_SCOPES,
  isLocal: true,
  freshUntilMs: Number.POSITIVE_INFINITY,
} as const;
