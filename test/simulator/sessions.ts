import type { Computer } from "./computer.ts";

type Shown = { session: string; state: string; title: string | null; lastMessage: string | null };

const STATES: Readonly<Record<string, string>> = {
  "permission.requested": "waiting",
  "permission.resolved": "running",
  "turn.started": "running",
  "session.idle": "idle",
  "session.ended": "ended",
};

/** What the index of sessions must show of a computer: what its events tell, in their order. */
export function expected({ made, isGone }: Computer): Shown[] {
  // Of a session that was partly forgotten the index knows the rest only.
  const partly = new Set(made.flatMap(({ session, mayBeMissing }) => (mayBeMissing === true ? [session] : [])));
  const sessions = new Map<string, Shown>();
  for (const { type, session, data } of made) {
    if (session === null || partly.has(session)) continue;
    if (type.endsWith(".delta")) continue;
    const known = sessions.get(session) ?? { session, state: "idle", title: null, lastMessage: null };
    const state = STATES[type] ?? known.state;
    const title = type === "session.created" ? (data["title"] as string) : known.title;
    const lastMessage = type === "message" ? (data["text"] as string) : known.lastMessage;
    sessions.set(session, { session, state, title, lastMessage });
  }
  return [...sessions.values()].map((one) => (isGone ? { ...one, state: "machine_gone" } : one));
}
