/**
 * Prefixes of the variables of Operator's own programs. Some are secrets (`CODEZ_HUB_TOKEN`). A program that is started here does
 * not need them, and neither it, its children nor a model that runs `env` may read them.
 */
const OWN_PREFIXES = ["CODEZ_", "OPERATOR_"];

/** Secrets of an Operator without such a prefix, because they have the names of Worker bindings. */
const OWN_SECRETS = new Set(["CLAIM_CODE", "DISPATCH_SECRET", "DISPATCH_SECRET_PREVIOUS", "REPORT_SECRET"]);

/**
 * Variables that are passed on nevertheless: the folder of `codez`, and the mark by which a lost agent is found (`process-tree.ts`).
 * Neither is secret, and a `codez` that a child starts needs both.
 */
const PASSED_ON = new Set(["CODEZ_HOME", "CODEZ_AGENT"]);

/**
 * The environment for a program that is started here: an agent, an MCP server, git. It is the whole environment without
 * Operator's own variables. A list of allowed variables would be stricter. But an MCP server's settings and keys, proxies,
 * locales, version managers and `ANTHROPIC_*` are passed this way too, with names that cannot be known in advance.
 */
export function childEnvironment(own: NodeJS.ProcessEnv = process.env): Record<string, string> {
  const passed: Record<string, string> = {};
  for (const [name, value] of Object.entries(own)) {
    if (value !== undefined && mayPass(name.toUpperCase())) passed[name] = value;
  }
  return passed;
}

/** Compares in upper case, because names are case-insensitive on Windows. */
function mayPass(name: string): boolean {
  if (PASSED_ON.has(name)) return true;
  return !OWN_SECRETS.has(name) && !OWN_PREFIXES.some((prefix) => name.startsWith(prefix));
}
