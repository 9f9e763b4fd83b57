/**
 * OAuth scopes. `mcp:tools` is the one that MCP clients ask for. The others are for tokens that should be able to do less, or more.
 *
 * - `operator:read`: see machines and events, and call tools that only read.
 * - `operator:act`: the same, and call every other tool.
 * - `mcp:tools`: the same as `operator:act`. This is the name in the `WWW-Authenticate` challenge.
 * - `operator:admin`: the same as `operator:read`, and manage machines, tokens and grants, and read the audit log.
 * - `operator:tokens`: together with `operator:admin`, make tokens without a fresh sign-in of a person.
 */
export const SCOPES = ["mcp:tools", "operator:read", "operator:act", "operator:admin", "operator:tokens"] as const;
export type Scope = (typeof SCOPES)[number];

/** Sufficient for everything at `/mcp`. A `401` names this scope, and a client that asks for no scope gets it. */
export const BASELINE = "mcp:tools" satisfies Scope;

/** All scopes: for a person's own session in the browser, and for callers on this computer. */
export const ALL_SCOPES: readonly Scope[] = ["mcp:tools", "operator:admin"];

/** The scopes in `names` that exist here. Unknown ones are ignored, as RFC 6749 section 3.3 allows. */
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
      case "operator:tokens":
        return own.includes("operator:tokens");
    }
  });
}
