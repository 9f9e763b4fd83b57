import type { MachineDetail, MachineSummary } from "#protocol/rest-api.ts";
import { sessionHandle } from "./session-handle.ts";

/**
 * Projects and repositories that a list shows per machine, most recently used first. A model reads the whole list, and a person
 * may have a thousand machines, so the list is kept short; get_machine shows all of them.
 */
export const LISTED_PROJECTS = 20;

/** A machine in list_machines: the fields of the REST API, with shortened lists that say how many entries they leave out. */
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
 * A machine in get_machine. Fields that both the registry and the script have appear once, at the top, with the script's values,
 * which are newer. `state` has the script's other fields, with session handles in place of ids; it is `null` if the script did
 * not answer.
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
