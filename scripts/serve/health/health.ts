import { freeSpaceOf } from "../../system/free-space.ts";
import type { Machine } from "../machine.ts";

/** With less free space, Claude Code, its history and git begin to fail without saying why. */
const MIN_FREE_BYTES = 500 * 1024 * 1024;

/** An index that is this far behind a minute after the start has a problem and is not just catching up. */
const BEHIND_BYTES = 64 * 1024 * 1024;

export interface HealthDetails extends Record<string, unknown> {
  readonly ok: boolean;
  /** What is wrong; each entry says what to do. */
  readonly problems: readonly string[];
  /** `version` is `null` if the agent was not found. */
  readonly agent: { name: string; command: string; version: string | null; signed_in: boolean | null };
}

/** Finds out what is wrong with this machine and what to run. Takes as long as `claude --version` does. */
export async function checkHealth(machine: Machine, home: string): Promise<HealthDetails> {
  const { agent, config, faults, index, permissions, projects, sessions } = machine;
  const problems: string[] = [];
  const claude = await agent.check();
  problems.push(...claude.problems);
  if (config.problem !== null) problems.push(config.problem);
  if (permissions.problem !== null) problems.push(permissions.problem);
  const mayStart = !config.current.readOnly && config.current.drive === undefined;
  if (mayStart && (await projects.list(false)).length === 0) {
    const fix = `use Claude Code in one, or name a folder with repositories in "projects" of ${config.path}`;
    problems.push(`no project is known, so clients can start no session here; ${fix}`);
  }

  const { bytes: freeBytes } = await freeSpaceOf(home);
  if (freeBytes < MIN_FREE_BYTES) {
    problems.push(`only ${Math.round(freeBytes / 1024 / 1024)} MB are free on the disk of ${home}; make room`);
  }

  const status = await index.ask("status", null).catch(() => null);
  if (status === null)
    problems.push(`the history index does not run (${index.problem ?? "no answer"}); restart codez serve`);
  if (status?.storeProblem != null) problems.push(`search reads every file and is slow: ${status.storeProblem}`);
  if (status !== null && status.bytesBehind > BEHIND_BYTES) {
    const megabytes = Math.round(status.bytesBehind / 1024 / 1024);
    problems.push(`the index is ${megabytes} MB behind the history; searches miss that until it has caught up`);
  }
  for (const problem of status?.problems ?? []) problems.push(`a history file can't be read: ${problem}`);

  return {
    ok: problems.length === 0,
    problems,
    agent: { name: agent.name, command: claude.command, version: claude.version, signed_in: claude.signedIn },
    disk: { folder: home, free_bytes: freeBytes },
    index: status,
    sessions: { live: sessions.all().length, limit: config.current.maxLiveSessions },
    permissions: { pending: permissions.pending().length },
    config: { path: config.path, ...policyOf(machine) },
    recent_faults: faults.recent,
  };
}

function policyOf({ config }: Machine): Record<string, unknown> {
  const { readOnly, maxPermissionMode, respondPermission, drive } = config.current;
  return {
    read_only: readOnly,
    max_permission_mode: maxPermissionMode,
    respond_permission: respondPermission,
    drive: drive ?? "known projects",
  };
}
