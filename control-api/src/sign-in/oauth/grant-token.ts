import { type Caller, callerWith } from "../../http/caller.ts";
import type { Env } from "../../env.ts";
import type { Refusal } from "../../http/refusal.ts";
import { knownScopes } from "../../http/scope.ts";
import { validUntil } from "../clock.ts";
import { FRESH_MS } from "../fresh.ts";
import { oauthApi } from "./authorization-server.ts";
import type { Audience } from "./resource.ts";

/**
 * The properties stored with a grant; a check of its tokens answers them. `approvedMs`: when its person allowed it, milliseconds since
 * 1970. Grants of version 0.2 do not have it. `machines`: identities of the machines that it is limited to; absent for all. Not their names,
 * which may pass to other computers.
 */
export type GrantProps = {
  readonly client: string;
  readonly approvedMs?: number;
  readonly machines?: readonly string[];
};

/** The library's token format, `userId:grantId:secret`. */
const TOKEN = /^[a-z0-9-]{1,64}:[A-Za-z0-9_-]{1,64}:[A-Za-z0-9_-]{16,128}$/;

/**
 * The caller behind an access token of the built-in authorization server. A token for another audience is refused: otherwise a
 * machine that receives a token could use it at the apex or at another machine (RFC 8707 section 2, MCP authorization).
 */
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
  if (typeof summary.audience !== "string" || summary.audience !== audience) return { refused: "bad_token" };
  const { machines: computers = null } = summary.grant.props;
  const machines = computers === null ? null : await env.USER.getByName(summary.userId).namesOf(computers);
  return callerWith({
    user: summary.userId,
    client: summary.grant.props.client,
    machines,
    computers,
    credential: `grant:${summary.grantId}`,
    freshUntilMs: validUntil(summary.grant.props.approvedMs ?? 0, FRESH_MS, Date.now()),
    scopes: knownScopes(summary.scope),
  });
}
