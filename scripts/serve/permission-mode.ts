/**
 * Claude Code's permission modes, least to most permissive. `default` is its old and lasting name for `manual`;
 * `dontAsk` denies whatever would need a person, so it can do less than `default`.
 */
export const PERMISSION_MODES = ["plan", "dontAsk", "default", "acceptEdits", "auto", "bypassPermissions"] as const;

export type PermissionMode = (typeof PERMISSION_MODES)[number];

/** `null` when there is no such mode. */
export function parsePermissionMode(text: string): PermissionMode | null {
  if (text === "manual") return "default";
  return PERMISSION_MODES.find((mode) => mode === text) ?? null;
}

export function isAbove(mode: PermissionMode, highest: PermissionMode): boolean {
  return PERMISSION_MODES.indexOf(mode) > PERMISSION_MODES.indexOf(highest);
}
