import { localOwnerToken } from "./sign-in/local-owner.ts";
import { signIn } from "./sign-in/sign-in.ts";

/** To find out whether an Operator wants to know who is asking. */
const PROBE_TIMEOUT_MS = 10_000;

/**
 * The token with which this person asks `hub`, or `null` to ask without one (then the answer says what is wrong).
 * It is used for the REST API and `/mcp` alone; machines dial in with a link token of their own.
 * CODEZ_HUB_TOKEN, for scripts; else the token that an Operator on this computer left for its owner's programs; else, where
 * a token is wanted, the person is asked to sign in.
 */
export async function hubToken(hub: string): Promise<string | null> {
  const given = process.env["CODEZ_HUB_TOKEN"];
  if (given) return given;
  const own = await localOwnerToken(hub);
  if (own !== null) return own;
  return (await wantsToken(hub)) ? signIn(hub) : null;
}

async function wantsToken(hub: string): Promise<boolean> {
  try {
    const response = await fetch(new URL("/api/me", hub), {
      redirect: "error",
      signal: AbortSignal.timeout(PROBE_TIMEOUT_MS),
    });
    await response.body?.cancel();
    return response.status === 401;
  } catch {
    return false; // out of reach: the command's own request says so, and what to do
  }
}
