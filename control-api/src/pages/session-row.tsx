import { Ago } from "../design/ago.tsx";
import { Foreign } from "../design/foreign.tsx";
import { Row, type Tone } from "../design/parts.tsx";
import { projectName } from "../design/project-name.ts";
import type { ListedSession } from "../history/session-query.ts";
import { sessionPath } from "./address.ts";

export { projectName };

/** `cut_off`: it ran when its machine went offline, and nobody here knows whether it still does. */
type SessionState = ListedSession["state"] | "machine_gone" | "cut_off";

export function stateOf({ machineGone, status, state }: ListedSession): SessionState {
  if (machineGone) return "machine_gone";
  return state === "running" && status === "offline" ? "cut_off" : state;
}

/** What a session is doing, in a word. */
export function stateWord(state: SessionState): string {
  switch (state) {
    case "running":
      return "Running";
    case "waiting":
      return "Waits for you";
    case "idle":
      return "Idle";
    case "ended":
      return "Ended";
    case "machine_gone":
      return "Machine removed";
    case "cut_off":
      return "Was running";
  }
}

export function toneOf(state: SessionState): Tone {
  switch (state) {
    case "running":
      return "busy";
    case "waiting":
      return "warn";
    case "idle":
    case "cut_off":
      return "quiet";
    case "ended":
    case "machine_gone":
      return "none";
  }
}

/** A session in a list. */
export function SessionRow({ session }: { readonly session: ListedSession }) {
  const { machine, project, title, lastMessage, lastMs, costUsd, status } = session;
  const state = stateOf(session);
  const isQuiet = state === "idle" || state === "ended";
  return (
    <Row
      href={sessionPath(machine, session.session)}
      tone={toneOf(state)}
      name={title === null ? "Untitled session" : <Foreign text={title} />}
      end={<Ago ms={lastMs} />}
      more={
        <>
          {isQuiet ? null : `${stateWord(state)} · `}
          {machine}
          {status === "offline" && state !== "machine_gone" ? " (offline)" : ""}
          {project === null ? null : (
            <>
              {" · "}
              <Foreign text={projectName(project, session.cwd)} />
            </>
          )}
          {costUsd === null || costUsd === 0 ? null : ` · ${costText(costUsd)}`}
          {lastMessage === null || lastMessage === title ? null : (
            <>
              {" · "}
              <Foreign text={lastMessage.replaceAll(/(?:^|\s)#{1,6} |\*\*/g, " ")} />
            </>
          )}
        </>
      }
    />
  );
}

export function costText(usd: number): string {
  return usd < 0.01 ? "under $0.01" : `$${usd.toFixed(2)}`;
}
