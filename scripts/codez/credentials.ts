import { signIn } from "./sign-in/sign-in.ts";

/** To find out whether a local Operator wants to know who is asking. */
const PROBE_TIMEOUT_MS = 10_000;

/**
 * The token with which this person asks `hub`, or `null` to ask without one (which a local Operator allows on loopback).
 * It is used for the REST API and `/mcp` alone; machines dial in with a link token of their own.
 * CODEZ_HUB_TOKEN, for scripts; else, where a token is wanted, the person is asked to sign in.
 */
export async function hubToken(hub: string): Promise<string | null> {
  const given = process.env["CODEZ_HUB_TOKEN"];
  if (given) return given;
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
