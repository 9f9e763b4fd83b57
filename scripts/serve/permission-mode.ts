/**
 * Claude Code's permission modes, from the least to the most permissive. Each allows everything that the ones before it allow.
 *
 * - `plan` reads and proposes, and changes nothing that a person did not allow.
 * - `dontAsk` does what the owner's settings allow and denies everything that would need a person.
 * - `default` (its newer name is `manual`) asks a person for everything else.
 * - `acceptEdits` also edits files without asking; `auto` also runs what a classifier considers harmless.
 * - `bypassPermissions` asks nobody for anything.
 */
export const PERMISSION_MODES = ["plan", "dontAsk", "default", "acceptEdits", "auto", "bypassPermissions"] as const;

export type PermissionMode = (typeof PERMISSION_MODES)[number];

/** Parses the name of a mode; `null` when there is no such mode. */
export function parsePermissionMode(text: string): PermissionMode | null {
  if (text === "manual") return "default";
  return PERMISSION_MODES.find((mode) => mode === text) ?? null;
}

/** `mode`, or `highest` if `mode` exceeds it. */
export function atMost(mode: PermissionMode, highest: PermissionMode): PermissionMode {
  return isAbove(mode, highest) ? highest : mode;
}

export function isAbove(mode: PermissionMode, highest: PermissionMode): boolean {
  return PERMISSION_MODES.indexOf(mode) > PERMISSION_MODES.indexOf(highest);
}
