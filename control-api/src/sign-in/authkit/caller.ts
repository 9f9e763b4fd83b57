import { noteWithin } from "#protocol/keep-within.ts";
import * as z from "zod/mini";
import { type Caller, callerWith, OWNER } from "../../http/caller.ts";
import type { Refusal } from "../../http/refusal.ts";
import { ALL_SCOPES } from "../../http/scope.ts";
import { hashOf } from "../secret.ts";
import { allowanceOf } from "./allowance.ts";

export type AuthKitBindings = {
  /** The origin of an MCPAuthKit instance that replaces the built-in sign-in, and the list of its people who have access. */
  readonly AUTHKIT_URL?: string;
  readonly AUTHKIT_ALLOW?: string;
};

/** MCPAuthKit's access tokens. */
const TOKEN = /^mat_[A-Za-z0-9_-]{8,512}$/;

/** How long an accepted token is cached. A revocation at MCPAuthKit takes effect here at most this much later. Milliseconds. */
const GOOD_MS = 5 * 60_000;
/** How long a refused token is cached. Short, because MCPAuthKit may know a fresh token only moments later. Milliseconds. */
const REFUSED_MS = 5_000;
/** Time limit for MCPAuthKit's answer; clients give up not much later. Milliseconds. */
const TIMEOUT_MS = 5_000;
/** Answers cached by one isolate, a few hundred bytes each. */
const REMEMBERED = 2_000;
/** Length of the hash in a user id made from an MCPAuthKit subject: 20 hex digits are 80 bits, so two people never collide. */
const ID_LETTERS = 20;

const UserInfo = z.object({
  sub: z.string().check(z.minLength(1), z.maxLength(512)),
  email: z.optional(z.nullable(z.string())),
  name: z.optional(z.nullable(z.string())),
});
type UserInfo = z.infer<typeof UserInfo>;

const remembered = new Map<string, { answer: Caller | Refusal; untilMs: number }>();

export function isAuthKitToken(token: string): boolean {
  return TOKEN.test(token);
}

/**
 * The caller behind a token of the MCPAuthKit instance at `AUTHKIT_URL`. Its userinfo endpoint reports neither the resource nor the
 * scope of a token, so any token of an allowed person gets all of that person's rights (README.md, "MCPAuthKit").
 */
export async function callerOfAuthKit(token: string, env: AuthKitBindings): Promise<Caller | Refusal> {
  const hash = await hashOf(token);
  const known = remembered.get(hash);
  if (known !== undefined && known.untilMs > Date.now()) return known.answer;
  const answer = await ask(token, env);
  if ("refused" in answer && answer.refused === "unavailable") return answer; // an outage says nothing about the token, so it is not cached
  const untilMs = Date.now() + ("refused" in answer ? REFUSED_MS : GOOD_MS);
  noteWithin(remembered, REMEMBERED, hash, { answer, untilMs });
  return answer;
}

async function ask(token: string, env: AuthKitBindings): Promise<Caller | Refusal> {
  let response;
  try {
    response = await fetch(new URL("/oauth/userinfo", env.AUTHKIT_URL), {
      headers: { authorization: `Bearer ${token}`, accept: "application/json" },
      signal: AbortSignal.timeout(TIMEOUT_MS),
      redirect: "manual", // following a redirect would send the token to another server
    });
    if (response.status === 401 || response.status === 403) {
      await response.body?.cancel();
      return { refused: "bad_token" };
    }
    if (!response.ok) throw new Error(`HTTP ${response.status}`);
    return await callerOf(UserInfo.parse(await response.json()), env);
  } catch (reason) {
    console.error("MCPAuthKit did not answer", { reason: String(reason) });
    return { refused: "unavailable" };
  }
}

async function callerOf({ sub, email, name }: UserInfo, env: AuthKitBindings): Promise<Caller | Refusal> {
  const allowance = allowanceOf(sub, email ?? null, env.AUTHKIT_ALLOW ?? "");
  if (allowance === "none") return { refused: "not_allowed" };
  const user = allowance === "owner" ? OWNER : `a-${(await hashOf(`${env.AUTHKIT_URL}\n${sub}`)).slice(0, ID_LETTERS)}`;
  // MCPAuthKit does not say when its person signed in. Its tokens live for an hour, so they all count as fresh (README.md).
  const freshUntilMs = Number.POSITIVE_INFINITY;
  return callerWith({
    user,
    client: name ?? email ?? "MCPAuthKit",
    machines: null,
    computers: null,
    scopes: ALL_SCOPES,
    freshUntilMs,
  });
}
