import { type Caller, callerWith } from "../../http/caller.ts";
import type { Env } from "../../env.ts";
import type { Refusal } from "../../http/refusal.ts";
import { knownScopes } from "../../http/scope.ts";
import { oauthApi } from "./authorization-server.ts";
import type { Audience } from "./resource.ts";

/** What is stored with a grant, for the check of its tokens. */
export type GrantProps = { readonly client: string };

/** `userId:grantId:secret`, as the library makes them. */
const TOKEN = /^[a-z0-9-]{1,64}:[A-Za-z0-9_-]{1,64}:[A-Za-z0-9_-]{16,128}$/;

/** Who bears a token of the built-in authorization server that was issued for `audience`. */
export async function callerOfGrant(token: string, audience: Audience, env: Env): Promise<Caller | Refusal> {
  if (!TOKEN.test(token)) return { refused: "bad_token" };
  let summary;
  try {
    summary = await oauthApi(env).unwrapToken<GrantProps>(token);
  } catch (reason) {
    console.error("a token could not be looked up", { reason: String(reason) });
    return { refused: "unavailable" };
  }
  if (summary === null) return { refused: "bad_token" };
  const caller = callerWith({
    user: summary.userId,
    client: summary.grant.props.client,
    machines: null,
    credential: `grant:${summary.grantId}`,
    scopes: knownScopes(summary.scope),
  });
  if (typeof summary.audience !== "string") return { refused: "bad_token" };
  return summary.audience === audience ? caller : { refused: "bad_token" };
}
