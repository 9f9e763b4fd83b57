/**
 * A project's name as people know it: that of its folder. Claude Code makes a slug of the path, with hyphens in place of slashes. Where
 * only the slug is known, what follows the folders that homes have in common is the best guess that needs no question to the machine.
 */
export function projectName(slug: string, cwd: string | null): string {
  const folder = cwd?.split(/[/\\]/).findLast((part) => part !== "");
  if (folder !== undefined) return folder;
  return slug.replace(/^-(?:home|Users)-[^-]+-/, "").replace(/^-+/, "") || slug;
}
