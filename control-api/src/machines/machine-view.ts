import { isoTime } from "#protocol/iso-time.ts";
import type { MachineDetail, MachineSummary } from "#protocol/rest-api.ts";
import type { LinkStatus } from "#protocol/script-api.ts";
import { sessionHandle } from "./session-handle.ts";

/**
 * Projects and repositories that a list shows per machine, most recently used first. A model reads the whole list, and a person
 * may have a thousand machines, so the list is kept short; get_machine shows all of them.
 */
export const LISTED_PROJECTS = 20;

/** How long a takeover is shown in lists. Mostly it was the person's own doing; `codez restore` works for 30 days. */
const NOTICE_MS = 3 * 24 * 60 * 60_000;

/** A machine in list_machines: the fields of the REST API, with shortened lists that say how many entries they leave out. */
export function listedMachine(summary: MachineSummary, nowMs: number): Record<string, unknown> {
  const { facts, link, ...all } = summary;
  const warning = linkWarning(summary.name, link ?? null, nowMs);
  const rest = warning === null ? all : { ...all, linkWarning: warning };
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

/**
 * What its person must know about a machine's link; `null` if there is nothing. Lists show it in place of the link's details, which
 * get_machine has.
 */
function linkWarning(machine: string, link: LinkStatus | null, nowMs: number): string | null {
  if (link === null) return null;
  const { refused, takenOverMs } = link;
  if (refused !== null)
    return `Somebody dialled as this machine ${refused.count} times with its link token but without its key, last at ${isoTime(refused.lastMs)}: the token was copied. Run \`codez rotate ${machine}\` on the machine.`;
  if (takenOverMs !== null && nowMs - takenOverMs < NOTICE_MS)
    return `Its link passed to another computer or key at ${isoTime(takenOverMs)}. If that was not you: \`codez restore ${machine}\`.`;
  return null;
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
