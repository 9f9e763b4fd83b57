import { type Caller, callerWith } from "../../http/caller.ts";
import type { Env } from "../../env.ts";
import type { Refusal } from "../../http/refusal.ts";
import { knownScopes } from "../../http/scope.ts";
import { hashOf } from "../secret.ts";
import { authorizationServer } from "./authorization-server.ts";
import type { Audience } from "./resource.ts";

/**
 * A token that was good is taken for good so long without asking KV again, in this isolate; what is revoked here is
 * forgotten at once, what is revoked elsewhere after this and KV's own delay (a minute at most). Milliseconds.
 */
const REMEMBER_MS = 5_000;

/** Tokens remembered by one isolate, a few hundred bytes each. */
const REMEMBERED = 2_000;

/** What the grant of a token holds for whoever checks it. */
export type GrantProps = { readonly client: string };

type Remembered = { readonly caller: Caller; readonly audience: Audience; readonly untilMs: number };

const remembered = new Map<string, Remembered>();

/** `userId:grantId:secret`, as the library makes them. */
const TOKEN = /^[a-z0-9-]{1,64}:[A-Za-z0-9_-]{1,64}:[A-Za-z0-9_-]{16,128}$/;

/** Who bears a token of the built-in authorization server that was issued for `audience`. */
export async function callerOfGrant(token: string, audience: Audience, env: Env): Promise<Caller | Refusal> {
  if (!TOKEN.test(token)) return { refused: "bad_token" };
  const hash = await hashOf(token);
  const known = remembered.get(hash);
  if (known !== undefined && known.untilMs > Date.now())
    return known.audience === audience ? known.caller : { refused: "bad_token" };
  remembered.delete(hash);
  let summary;
  try {
    summary = await authorizationServer(env).getOAuthApi(env).unwrapToken<GrantProps>(token);
  } catch (reason) {
    console.error("a token could not be looked up", { reason: String(reason) });
    return { refused: "unavailable" };
  }
  if (summary === null) return { refused: "bad_token" };
  const caller = callerWith({
    user: summary.userId,
    client: summary.grant.props.client,
    machines: null,
    scopes: knownScopes(summary.scope),
  });
  if (typeof summary.audience !== "string") return { refused: "bad_token" };
  const untilMs = Math.min(Date.now() + REMEMBER_MS, summary.expiresAt * 1000);
  if (remembered.size >= REMEMBERED) remembered.clear();
  remembered.set(hash, { caller, audience: summary.audience, untilMs });
  return summary.audience === audience ? caller : { refused: "bad_token" };
}

/** After a revocation: whatever was good before is looked up again. */
export function forgetTokens(): void {
  remembered.clear();
}
