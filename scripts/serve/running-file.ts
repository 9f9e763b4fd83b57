import { rm } from "node:fs/promises";
import * as z from "zod";
import { readJson, writeJson } from "../system/json-file.ts";
import { isSameStart, lifeOf } from "../system/process-start.ts";

/** How `codez permissions` and `codez connect` find the serve of this home, and prove that they may read its owner's files. */
export const Running = z.object({
  pid: z.int(),
  /** The process's own start as the system tells it: a process id alone may be another program's by now. */
  started: z.string().nullable(),
  port: z.int(),
  /** For `codez permissions`. */
  token: z.string(),
  /** For MCP. A client that has it must not be able to approve what it asked for, so the two are never the same. */
  mcpToken: z.string(),
});
export type Running = z.infer<typeof Running>;

/** The running serve; `null` when there is none. */
export async function findRunning(path: string): Promise<Running | null> {
  const parsed = Running.safeParse(await readJson(path));
  return parsed.success && isRunning(parsed.data) ? parsed.data : null;
}

export function isRunning({ pid, started }: Running): boolean {
  const now = lifeOf(pid);
  return now.isAlive && (started === null || now.started === null || isSameStart(started, now.started));
}

export async function writeRunning(path: string, running: Omit<Running, "pid" | "started">): Promise<void> {
  await writeJson(path, { ...running, pid: process.pid, started: lifeOf(process.pid).started });
}

export async function removeRunning(path: string): Promise<void> {
  await rm(path, { force: true });
}
