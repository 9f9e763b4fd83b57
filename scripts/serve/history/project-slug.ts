/**
 * The name of a project's folder under `~/.claude/projects`: its path with every character that is no letter or digit as `-`.
 * Past 200 characters Claude Code shortens the name and adds a hash; such a folder has to be found by listing.
 */
export function projectSlugOf(path: string): string {
  return path.replaceAll(/[^a-zA-Z0-9]/g, "-");
}
