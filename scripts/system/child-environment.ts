/**
 * Variables of Operator's own programs begin so. Among them are secrets (`CODEZ_HUB_TOKEN`), which are of no use to a
 * program that is started here and must not be readable by it, by its children or by a model that runs `env`.
 */
const OWN_PREFIXES = ["CODEZ_", "OPERATOR_"];

/** Secrets of an Operator that are set without a prefix, because a Worker's bindings have these names. */
const OWN_SECRETS = new Set(["CLAIM_CODE", "DISPATCH_SECRET", "DISPATCH_SECRET_PREVIOUS", "REPORT_SECRET"]);

/**
 * Where `codez` keeps its files, and the mark by which a lost agent is found again (`process-tree.ts`): neither is secret,
 * and a `codez` that a child starts needs both.
 */
const PASSED_ON = new Set(["CODEZ_HOME", "CODEZ_AGENT"]);

/**
 * The environment of a program that is started for somebody else: an agent, an MCP server, git. It is the whole
 * environment except for what is Operator's own. A list of what may pass would be stricter, but an MCP server's own
 * settings and keys, proxies, locales, version managers and `ANTHROPIC_*` come this way too, under names that nobody can
 * foresee.
 */
export function childEnvironment(own: NodeJS.ProcessEnv = process.env): Record<string, string> {
  const passed: Record<string, string> = {};
  for (const [name, value] of Object.entries(own)) {
    if (value !== undefined && mayPass(name.toUpperCase())) passed[name] = value;
  }
  return passed;
}

/** In upper case, since Windows does not tell the cases apart. */
function mayPass(name: string): boolean {
  if (PASSED_ON.has(name)) return true;
  return !OWN_SECRETS.has(name) && !OWN_PREFIXES.some((prefix) => name.startsWith(prefix));
}
