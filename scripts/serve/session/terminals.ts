import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import * as z from "zod";
import { isAlive } from "../../system/process-tree.ts";
import { isMissing } from "../../system/is-missing.ts";
import { readRegularFile } from "../../system/regular-file.ts";

/** A registration file has a few lines. */
const MAX_REGISTRATION_BYTES = 64 * 1024;

/** The file `sessions/<pid>.json` that each running Claude Code writes about itself into its folder. */
const Registration = z.looseObject({
  pid: z.int(),
  sessionId: z.string(),
  cwd: z.string().optional(),
  procStart: z.string().optional(),
  status: z.string().optional(),
});

export interface Terminal {
  readonly pid: number;
  readonly session: string;
  /** `busy` or `idle`, when Claude Code says. */
  readonly status: string | null;
}

/** The running Claude Code processes that are not serve's own, by the session that each has open. */
export async function terminalsOf(claudeHome: string, own: ReadonlySet<number>): Promise<Map<string, Terminal>> {
  const folder = join(claudeHome, "sessions");
  const found = new Map<string, Terminal>();
  for (const name of await listing(folder)) {
    if (!name.endsWith(".json")) continue;
    const parsed = Registration.safeParse(await readRegistration(join(folder, name)));
    if (!parsed.success) continue;
    const { pid, sessionId, procStart, status } = parsed.data;
    if (own.has(pid) || !isAlive(pid) || !(await isSameProcess(pid, procStart))) continue;
    found.set(sessionId, { pid, session: sessionId, status: status ?? null });
  }
  return found;
}

async function listing(folder: string): Promise<string[]> {
  try {
    return await readdir(folder);
  } catch (error) {
    if (isMissing(error)) return [];
    throw error;
  }
}

async function readRegistration(path: string): Promise<unknown> {
  try {
    return JSON.parse((await readRegularFile(path, MAX_REGISTRATION_BYTES)).text);
  } catch {
    // The process has ended and deleted its file, or is writing it right now. The next call will see it correctly.
    return null;
  }
}

/** Whether the process id still belongs to that process. Ids are reused; on Linux the start time tells processes apart. */
async function isSameProcess(pid: number, procStart: string | undefined): Promise<boolean> {
  if (process.platform !== "linux" || procStart === undefined) return true;
  const stat = await readFile(`/proc/${pid}/stat`, "utf8").catch(() => "");
  const startField = stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19];
  return startField === undefined || startField === procStart;
}
