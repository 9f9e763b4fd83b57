/**
 * What a sign-in may do. `mcp:tools` is what MCP clients ask for; the finer ones are for whoever wants less, or more.
 *
 * - `operator:read`: see machines, events, and what tools that only read tell.
 * - `operator:act`: that, and every other tool.
 * - `mcp:tools`: the same as `operator:act`, by the name that the challenge gives.
 * - `operator:admin`: see; add, rename and remove machines; tokens, grants, audit log. No tools that act.
 */
export const SCOPES = ["mcp:tools", "operator:read", "operator:act", "operator:admin"] as const;
export type Scope = (typeof SCOPES)[number];

/** Enough for everything at `/mcp`; what a `401` names, and what a client gets that names none. */
export const BASELINE = "mcp:tools" satisfies Scope;

/** All a person can do, for a person's own session and for whoever is on this computer. */
export const ALL_SCOPES: readonly Scope[] = ["mcp:tools", "operator:admin"];

/** The scopes in `names` that are ours; the others are ignored, as RFC 6749 section 3.3 allows. */
export function knownScopes(names: readonly string[]): Scope[] {
  return SCOPES.filter((scope) => names.includes(scope));
}

/** The scopes a page offers for a request: those it names that are ours, or the baseline when it names none. */
export function requestedScopes(names: readonly string[]): Scope[] {
  const known = knownScopes(names);
  return known.length > 0 ? known : [BASELINE];
}

export function mayAct(scopes: readonly Scope[]): boolean {
  return scopes.includes("mcp:tools") || scopes.includes("operator:act");
}

export function mayAdminister(scopes: readonly Scope[]): boolean {
  return scopes.includes("operator:admin");
}

/** Whether someone with `own` may hand `wanted` on, to a token for instance. */
export function covers(own: readonly Scope[], wanted: readonly Scope[]): boolean {
  return wanted.every((scope) => {
    switch (scope) {
      case "operator:read":
        return own.length > 0;
      case "operator:act":
      case "mcp:tools":
        return mayAct(own);
      case "operator:admin":
        return mayAdminister(own);
    }
  });
}
