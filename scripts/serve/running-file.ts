import { randomBytes } from "node:crypto";
import { rm } from "node:fs/promises";
import * as z from "zod";
import { isAlive } from "../system/process-tree.ts";
import { readJson, writeJson } from "../system/json-file.ts";

/** How `codez permissions` finds the serve of this home, and proves that it may read its owner's files. */
const Running = z.object({ pid: z.int(), port: z.int(), token: z.string() });
export type Running = z.infer<typeof Running>;

export function newToken(): string {
  return randomBytes(32).toString("base64url");
}

/** The running serve; `null` when there is none. */
export async function findRunning(path: string): Promise<Running | null> {
  const parsed = Running.safeParse(await readJson(path));
  if (!parsed.success || !isAlive(parsed.data.pid)) return null;
  return parsed.data;
}

export async function writeRunning(path: string, running: Running): Promise<void> {
  await writeJson(path, running);
}

export async function removeRunning(path: string): Promise<void> {
  await rm(path, { force: true });
}
