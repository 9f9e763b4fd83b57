import type { MachineDetail, MachineSummary } from "#protocol/rest-api.ts";
import { sessionHandle } from "./session-handle.ts";

/**
 * Projects and repositories of each machine in a list, the most recently used first. A model reads the whole list, and
 * a person may have a thousand machines; get_machine has all of them.
 */
export const LISTED_PROJECTS = 20;

/** A machine in list_machines: as REST has it, but with bounded lists that say what they left out. */
export function listedMachine(summary: MachineSummary): Record<string, unknown> {
  const { facts, ...rest } = summary;
  if (facts === null) return { ...rest, facts };
  const { repos, projects } = facts;
  return {
    ...rest,
    facts: {
      ...facts,
      repos: repos.slice(0, LISTED_PROJECTS),
      ...(projects === undefined ? {} : { projects: projects.slice(0, LISTED_PROJECTS) }),
    },
    ...leftOut("moreRepos", repos.length),
    ...leftOut("moreProjects", projects?.length ?? 0),
  };
}

function leftOut(name: string, count: number): Record<string, number> {
  return count > LISTED_PROJECTS ? { [name]: count - LISTED_PROJECTS } : {};
}

/**
 * A machine in get_machine. What its script says is the newer word on what the registry knows too, so it is said once, at
 * the top; `state` has the rest, with sessions by their handles. `state` is `null` when the script did not answer.
 */
export function machineInFull({ state, error, ...summary }: MachineDetail): Record<string, unknown> {
  if (state === null) return { ...summary, state, error };
  return {
    ...summary,
    lastSeenMs: state.lastSeenMs ?? summary.lastSeenMs,
    facts: state.facts ?? summary.facts,
    state: {
      connectedAtMs: state.connectedAtMs,
      exchanges: state.exchanges,
      sessions: state.sessions.map((session) => ({ ...session, id: sessionHandle(summary.name, session.id) })),
    },
    error,
  };
}
