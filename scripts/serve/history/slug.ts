/** Past this Claude Code shortens a folder's name and adds a hash; such a name is found by looking, not by computing. */
export const MAX_SLUG_CHARS = 200;

/** The name of a project's folder under `~/.claude/projects`: its path with every other sign as `-`. */
export function slugOf(path: string): string {
  return path.replaceAll(/[^a-zA-Z0-9]/g, "-");
}
