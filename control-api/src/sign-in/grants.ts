import type { Env } from "../env.ts";
import { allGrants } from "./oauth/all-grants.ts";
import { GRANT_IDLE_S, oauthApi } from "./oauth/authorization-server.ts";

/** A person's consent to one client. Times are in milliseconds since 1970. Each refresh moves `expiresMs` forward. */
export type GrantRecord = {
  id: string;
  client: string;
  scopes: string[];
  resource: string;
  createdMs: number;
  expiresMs: number | null;
  /** When it last got a token, which an app in use does every hour. */
  usedMs: number;
  /** Where the app lives that was allowed: a host, or "this computer". `null` for one of an earlier version. */
  home: string | null;
  /** Identities of the machines that it is limited to; `null` for all. */
  machines: string[] | null;
};

/** All grants of a person, newest first. The library also stores a grant for a code that was not redeemed yet; those are left out. */
export async function grantsOf(user: string, env: Env): Promise<GrantRecord[]> {
  const records: GrantRecord[] = [];
  const grants = await allGrants(oauthApi(env), user);
  for (const { id, clientId, scope, resource, createdAt, expiresAt, metadata } of grants) {
    if (expiresAt === undefined) continue;
    const known = (metadata ?? {}) as { client?: string; home?: string; machines?: string[] }; // written by authorize.tsx
    const { client = clientId, home = null, machines = null } = known;
    const times = {
      createdMs: createdAt * 1000,
      expiresMs: expiresAt * 1000,
      usedMs: expiresAt * 1000 - GRANT_IDLE_S * 1000,
    };
    records.push({ id, client, scopes: scope, resource: String(resource), home, machines, ...times });
  }
  return records.toSorted((one, other) => other.createdMs - one.createdMs);
}

/**
 * Revokes a grant, the tokens issued from it, and the personal access tokens that the app created with it. Answers the app's name, or
 * `null` if this person has no such grant.
 */
export async function revokeGrant(id: string, user: string, env: Env): Promise<string | null> {
  const found = (await grantsOf(user, env)).find((grant) => grant.id === id);
  if (found === undefined) return null;
  await env.USER.getByName(user).endGrant(id);
  return found.client;
}
