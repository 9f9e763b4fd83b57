import { readdir } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { readRegularFile } from "../../../system/regular-file.ts";
import { claudeHome } from "../../home.ts";
import { isAbove, parsePermissionMode, type PermissionMode } from "../../permission-mode.ts";

/** What an agent is told may be long. Its name and mode stand at the beginning. */
const MAX_BYTES = 64 * 1024;

/** Where a project's agents are, in each folder. */
const AGENTS = join(".claude", "agents");

/** A worktree's repository, whose agents Claude Code loads there. */
const REPOSITORY = /^gitdir: (\/.*)\/\.git\//;

/**
 * The agents, by name, that a file of the owner's or of the project gives a higher permission mode than the session has: Claude Code starts them
 * unasked, and in their own mode. What cannot be understood counts as higher.
 *
 * @param folder the session's, or `null` if Claude Code loads no agents from there
 */
export async function freerAgents(folder: string | null, mode: PermissionMode): Promise<string[]> {
  const projects = folder === null ? [] : await foldersAbove(folder);
  const places = [join(claudeHome(), "agents"), ...projects.map((project) => join(project, AGENTS))];
  const found = await Promise.all(places.map((place) => agentsIn(place, mode)));
  return [...new Set(found.flat())];
}

async function foldersAbove(folder: string): Promise<string[]> {
  const above = dirname(folder) === folder ? [] : await foldersAbove(dirname(folder));
  const repository = REPOSITORY.exec(await textOf(join(folder, ".git")))?.[1];
  return [folder, ...(repository === undefined ? [] : [repository]), ...above];
}

async function agentsIn(place: string, mode: PermissionMode): Promise<string[]> {
  const names = await readdir(place, { recursive: true }).catch(() => []); // most projects have none
  const files = names.filter((name) => name.endsWith(".md"));
  const found = files.map(async (file) => {
    const text = await textOf(join(place, file));
    const name = valueOf(text, "name") ?? basename(file, ".md");
    return isFreer(text, mode) ? [name] : [];
  });
  return (await Promise.all(found)).flat();
}

function isFreer(text: string, mode: PermissionMode): boolean {
  if (!/permission.?mode/i.test(text)) return false;
  const own = parsePermissionMode(valueOf(text, "permissionMode") ?? "");
  return own === null || (isAbove(own, "default") && isAbove(own, mode));
}

/** A value of the YAML at the beginning, as people write it. */
function valueOf(text: string, key: string): string | null {
  return new RegExp(`^${key}: *["']?([^"'#\\r\\n]+?)["']? *(?:#.*)?$`, "m").exec(text)?.[1] ?? null;
}

/** Empty for what is no file. */
async function textOf(path: string): Promise<string> {
  return readRegularFile(path, MAX_BYTES).then(
    ({ text }) => text,
    () => "",
  );
}
