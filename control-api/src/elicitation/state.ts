import { createRequestStateCodec, type ServerContext } from "@modelcontextprotocol/server";
import * as z from "zod/mini";
import { utf8 } from "#protocol/bytes.ts";
import { elicitationKeyOf } from "../machines/report-key.ts";
import { STATE_LIFE_S } from "./limits.ts";

/**
 * What a client of 2026-07-28 brings back with its person's answer (`requestState`). The call that asked has ended by then, and nothing of
 * it is stored here. It says which request the answer is for, so an answer can decide no other, and that the prompt was sent, so the
 * retry does not send it again.
 */
const AskedState = z.object({
  /** The grant or token of the caller, and a digest of the call's arguments: the retry must be of the same call. */
  caller: z.string(),
  call: z.string(),
  machine: z.string(),
  session: z.string(),
  turn: z.nullable(z.string()),
  /** The inbox's id of the request that was put to the person. */
  item: z.number(),
  /** Up to where the call has read the log. */
  cursor: z.string(),
  round: z.number(),
});
export type AskedState = z.infer<typeof AskedState>;

/** Only a codec with `bind` reads its context. This one binds by the key, which is the user's, and by `caller` and `call`. */
const NO_CONTEXT = {} as ServerContext;

type StateBindings = { readonly REPORT_SECRET: string };

/** Signs a state. The client can read it, and cannot change it. */
export async function sealed(env: StateBindings, user: string, state: AskedState): Promise<string> {
  return (await codecOf(env, user)).mint(state);
}

/** The state that a client brought back; `null` if this Operator did not sign it for this user, or too long ago. */
export async function opened(env: StateBindings, user: string, text: string): Promise<AskedState | null> {
  try {
    const state = await (await codecOf(env, user)).verify(text, NO_CONTEXT);
    return AskedState.safeParse(state).data ?? null;
  } catch {
    // The codec throws for every state that it did not sign, or that has expired. The caller is told that, whatever it was.
    return null;
  }
}

async function codecOf(env: StateBindings, user: string) {
  const key = utf8(await elicitationKeyOf(user, env.REPORT_SECRET));
  return createRequestStateCodec<AskedState>({ key, ttlSeconds: STATE_LIFE_S });
}
