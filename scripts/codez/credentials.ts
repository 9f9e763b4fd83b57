import { operatorFetch } from "../trust/operator-fetch.ts";
import { localOwnerToken } from "./sign-in/local-owner.ts";
import { keptToken } from "./sign-in/kept-sign-in.ts";
import { type Need, signIn } from "./sign-in/sign-in.ts";

/** Time limit of the request that finds out whether an Operator requires a token. */
const PROBE_TIMEOUT_MS = 10_000;

/**
 * This person's token for the Operator at `hub`; `null` to send requests without one (the answer then says what is wrong). It is
 * used only for the REST API and `/mcp`. Machines dial with their own link token.
 *
 * The token comes from CODEZ_HUB_TOKEN (for scripts), else from the file that an Operator on this computer wrote for its owner's
 * programs, else from the sign-in that `codez login` kept, else, if a token is required, from signing in.
 */
export async function hubToken(hub: string, need: Need): Promise<string | null> {
  const given = process.env["CODEZ_HUB_TOKEN"];
  if (given) return given;
  const own = await localOwnerToken(hub);
  if (own !== null) return own;
  // An Operator that cannot be reached is reported by the command's own request.
  const kept = need === "person" ? null : await keptToken(hub, `operator:${need}`).catch(() => null);
  if (kept !== null && !(await refuses(hub, kept))) return kept;
  return (await refuses(hub, null)) ? signIn(hub, need) : null;
}

/** Whether Operator wants another token than this one. */
async function refuses(hub: string, token: string | null): Promise<boolean> {
  try {
    const response = await operatorFetch(new URL("/api/me", hub), {
      headers: token === null ? {} : { authorization: `Bearer ${token}` },
      signal: AbortSignal.timeout(PROBE_TIMEOUT_MS),
    });
    await response.body?.cancel();
    return response.status === 401;
  } catch {
    return false; // Unreachable. The command's own request fails with an error that says so, and what to do.
  }
}
