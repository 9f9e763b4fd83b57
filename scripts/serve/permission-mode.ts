/**
 * Claude Code's permission modes, from the least to the most permissive; each may do all that those before it may.
 *
 * - `plan` reads and proposes, and changes nothing.
 * - `dontAsk` does what the owner's settings allow and denies everything that would need a person.
 * - `default` (its newer name is `manual`) asks a person for everything else.
 * - `acceptEdits` also edits files without asking, `auto` also runs what a classifier takes for harmless.
 * - `bypassPermissions` asks nobody for anything.
 */
export const PERMISSION_MODES = ["plan", "dontAsk", "default", "acceptEdits", "auto", "bypassPermissions"] as const;

export type PermissionMode = (typeof PERMISSION_MODES)[number];

/** `null` when there is no such mode. */
export function parsePermissionMode(text: string): PermissionMode | null {
  if (text === "manual") return "default";
  return PERMISSION_MODES.find((mode) => mode === text) ?? null;
}

/** The mode itself, or the highest allowed when it is above that. */
export function atMost(mode: PermissionMode, highest: PermissionMode): PermissionMode {
  return isAbove(mode, highest) ? highest : mode;
}

export function isAbove(mode: PermissionMode, highest: PermissionMode): boolean {
  return PERMISSION_MODES.indexOf(mode) > PERMISSION_MODES.indexOf(highest);
}
