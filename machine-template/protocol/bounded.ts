import type { Facts } from "./control.ts";
import {
  MAX_CAPABILITIES,
  MAX_FACT_CHARACTERS,
  MAX_FACTS_CHARACTERS,
  MAX_PATH_CHARACTERS,
  MAX_PROJECTS,
  MAX_REPOS,
  MAX_SESSION_ID_CHARACTERS,
} from "./limits.ts";

/**
 * What a machine says, cut to size. A machine may be hostile or just strange, and what it says of itself is shown in lists
 * with all the others: one that says too much must not make the list unreadable for a model, or too large to be sent.
 *
 * Cut and not refused: a machine with a long path is still a machine. Applied by the script before it stores anything, and
 * again by the control API, since a script may be older than these limits.
 */

/** A machine's facts, none of them longer than its limit, and all of them together no longer than `MAX_FACTS_CHARACTERS`. */
export function boundedFacts(facts: Facts): Facts {
  const short = (text: string): string => text.slice(0, MAX_FACT_CHARACTERS);
  const path = (text: string): string => text.slice(0, MAX_PATH_CHARACTERS);
  const repos = facts.repos.slice(0, MAX_REPOS).map((repo) => ({
    path: path(repo.path),
    ...(repo.remote === undefined ? {} : { remote: path(repo.remote) }),
    ...(repo.branch === undefined ? {} : { branch: short(repo.branch) }),
  }));
  const bounded: Facts = {
    hostname: short(facts.hostname),
    os: short(facts.os),
    arch: short(facts.arch),
    cpus: facts.cpus,
    memoryBytes: facts.memoryBytes,
    codez: short(facts.codez),
    agent: facts.agent && { name: short(facts.agent.name), version: short(facts.agent.version) },
    repos: [],
    capabilities: facts.capabilities.slice(0, MAX_CAPABILITIES).map(short),
  };
  // Repositories and projects are what there can be many of; as many are kept as there is room for. Projects come first:
  // their slugs are what a session is created with.
  const room = { characters: MAX_FACTS_CHARACTERS - JSON.stringify(bounded).length };
  if (facts.projects !== undefined) bounded.projects = fitting(facts.projects.slice(0, MAX_PROJECTS), room);
  bounded.repos = fitting(repos, room);
  return bounded;
}

/** As many of the items as there is room for, which they take. */
function fitting<T>(items: readonly T[], room: { characters: number }): T[] {
  const fit: T[] = [];
  for (const item of items) {
    const characters = JSON.stringify(item).length + 1;
    if (characters > room.characters) break;
    room.characters -= characters;
    fit.push(item);
  }
  return fit;
}

/** A session's id, or `null` for one that is too long to be an id: cut short it would name another session. */
export function boundedSession(session: string | null): string | null {
  return session === null || session.length > MAX_SESSION_ID_CHARACTERS ? null : session;
}
