import { lstat, realpath } from "node:fs/promises";
import { dirname, join } from "node:path";
import * as z from "zod";
import { isBelow } from "../../../system/folder.ts";
import { readRegularFile } from "../../../system/regular-file.ts";

/** Claude Code's state file grows with every project, to several megabytes. */
const MAX_STATE_BYTES = 64 * 1024 * 1024;

/** Files of a repository that can make Claude Code run something: settings with hooks and helpers, and MCP servers. */
const OWN_SETTINGS = [".claude", ".mcp.json"];

const State = z.looseObject({
  projects: z.record(z.string(), z.looseObject({ hasTrustDialogAccepted: z.boolean().optional() })).optional(),
});

/**
 * Whether the owner has accepted a folder in Claude Code's trust dialog, or listed it in `serve.json`. Without a terminal Claude
 * Code shows no dialog and treats every folder as trusted. A session would then run the hooks, MCP servers and helper commands
 * of a repository that the owner has only cloned.
 *
 * Trust in a folder extends to the folders below it, except those with settings of their own, which the dialog never showed.
 *
 * @param folder a real path
 * @param stateFile Claude Code's `.claude.json`
 */
export async function isTrusted(folder: string, stateFile: string, listed: readonly string[]): Promise<boolean> {
  for (const one of listed) {
    const real = await realpath(one).catch(() => null); // the folder does not exist, so it has no settings
    if (real !== null && isBelow(folder, real)) return true;
  }
  const accepted = await acceptedIn(stateFile);
  for (let at = folder; ; at = dirname(at)) {
    if (accepted.has(at)) return true;
    if (at === dirname(at) || (await hasOwnSettings(at))) return false;
  }
}

async function acceptedIn(stateFile: string): Promise<ReadonlySet<string>> {
  let projects: z.infer<typeof State>["projects"];
  try {
    const { text } = await readRegularFile(stateFile, MAX_STATE_BYTES);
    projects = State.parse(JSON.parse(text)).projects;
  } catch {
    // The file does not exist or cannot be read, so no folder counts as accepted.
  }
  const accepted = Object.entries(projects ?? {}).filter(([, project]) => project.hasTrustDialogAccepted === true);
  return new Set(accepted.map(([path]) => path));
}

async function hasOwnSettings(folder: string): Promise<boolean> {
  for (const name of OWN_SETTINGS) {
    if (await lstat(join(folder, name)).catch(() => null)) return true;
  }
  return false;
}
