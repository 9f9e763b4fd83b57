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
 * Bounds on what a machine says about itself. A machine may be hostile or merely unusual, and its facts are shown in lists
 * beside those of all others: one machine must not make such a list unreadable for a model, or too large to send.
 *
 * Long values are shortened, not refused, because a machine with a long path is still a machine. The script applies these
 * bounds before it stores anything. The control API applies them again, because a script may be older than the limits.
 */

/** `facts` with every value within its limit, and all of them together within `MAX_FACTS_CHARACTERS`. */
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
    ...(facts.server === undefined ? {} : { server: facts.server }),
    capabilities: facts.capabilities.slice(0, MAX_CAPABILITIES).map(short),
  };
  // Only repositories and projects can be numerous. As many are kept as there is room for. Projects come first, because
  // create_session needs their slugs.
  const room = { characters: MAX_FACTS_CHARACTERS - JSON.stringify(bounded).length };
  if (facts.projects !== undefined) bounded.projects = fitting(facts.projects.slice(0, MAX_PROJECTS), room);
  bounded.repos = fitting(repos, room);
  return bounded;
}

/** The first items that fit into `room`, from which they are deducted. */
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

/** A session's id, or `null` for one that is too long to be an id. A shortened id could be that of another session. */
export function boundedSession(session: string | null): string | null {
  return session === null || session.length > MAX_SESSION_ID_CHARACTERS ? null : session;
}
