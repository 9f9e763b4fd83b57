import { rm } from "node:fs/promises";
import * as z from "zod";
import { parseJson } from "#protocol/json.ts";
import { writeJson } from "../system/json-file.ts";
import { MAX_PID } from "../system/lock-holder.ts";
import { isSameStart, lifeOf } from "../system/process-start.ts";
import { readTrustedFile } from "../system/trusted-file.ts";

/**
 * The file by which `codez permissions` and `codez connect` find the running serve, and with whose tokens they prove that they
 * may read its owner's files.
 */
export const Running = z.object({
  pid: z.int().positive().max(MAX_PID),
  /** The process's start time according to the system. The process id alone may belong to another program by now. */
  started: z.string().nullable(),
  port: z.int(),
  /** The token for `codez permissions`. */
  token: z.string(),
  /** The token for MCP. It differs from the other one, because an MCP client must not be able to approve its own requests. */
  mcpToken: z.string(),
});
export type Running = z.infer<typeof Running>;

/**
 * The running serve; `null` when there is none. A damaged file names nobody: a serve that runs would have written it whole. Neither does one that
 * somebody else could have written: the program that it names would get what a person decides, or decide itself what terminals ask.
 */
export function findRunning(path: string): Running | null {
  try {
    const parsed = Running.safeParse(parseJson(readTrustedFile(path) ?? ""));
    return parsed.success && isRunning(parsed.data) ? parsed.data : null;
  } catch {
    return null; // `NotTrusted`, or it cannot be read
  }
}

function isRunning({ pid, started }: Running): boolean {
  const now = lifeOf(pid);
  return now.isAlive && (started === null || now.started === null || isSameStart(started, now.started));
}

export async function writeRunning(path: string, running: Omit<Running, "pid" | "started">): Promise<void> {
  await writeJson(path, { ...running, pid: process.pid, started: lifeOf(process.pid).started });
}

export async function removeRunning(path: string): Promise<void> {
  await rm(path, { force: true });
}
