/**
 * Where a machine is reached. Each has two addresses with one slug in them: the path `/m/<slug>/...` on the Operator's
 * own host, and the host `<slug>.<domain>`. They are written and read here and nowhere else. Reading takes a URL that is
 * parsed already, since every call passes here, and does not check the slug: `isSlug` does, where the answer is a refusal.
 */
import { ScriptPath } from "./script-api.ts";

/** What a URL names: a machine script, and the path that the script is to see. */
export type MachineAddress = { readonly slug: string; readonly path: string };

const MACHINE_PREFIX = "/m/";

/** The machine that `url` names by host or, on any other host, by path. `null` when it names none. */
export function machineAddressIn(url: URL, domain: string): MachineAddress | null {
  const slug = machineHostLabel(url.hostname, domain);
  return slug === null ? machinePathIn(url.pathname) : { slug, path: url.pathname };
}

/** The label before `domain`, if `hostname` is exactly one label under it. A machine's certificate covers no more. */
export function machineHostLabel(hostname: string, domain: string): string | null {
  if (!hostname.endsWith(`.${domain}`)) return null;
  const label = hostname.slice(0, -domain.length - 1);
  return label.includes(".") ? null : label;
}

/** The machine in `/m/<slug>/...`, and the path after it (`/` when there is none). The path stays encoded as it is. */
export function machinePathIn(pathname: string): MachineAddress | null {
  if (!pathname.startsWith(MACHINE_PREFIX)) return null;
  const slash = pathname.indexOf("/", MACHINE_PREFIX.length);
  if (slash === -1) return { slug: pathname.slice(MACHINE_PREFIX.length), path: "/" };
  return { slug: pathname.slice(MACHINE_PREFIX.length, slash), path: pathname.slice(slash) };
}

/** `/m/<slug><path>`, with `path` as the script sees it. */
export function machinePath(slug: string, path: string): string {
  return `${MACHINE_PREFIX}${slug}${path}`;
}

/** Every address of a machine: its MCP endpoint by path and by host, and where its connector dials in. */
export type MachineUrls = { mcpUrl: string; mcpHostUrl: string; linkUrl: string };

/** `origin` is the Operator's own (scheme, host, port); the machines' hosts are under `domain` and share its scheme and port. */
export function machineUrls(slug: string, origin: string, domain: string): MachineUrls {
  const { protocol, port } = new URL(origin);
  const host = `${slug}.${domain}${port === "" ? "" : `:${port}`}`;
  return {
    mcpUrl: origin + machinePath(slug, ScriptPath.MCP),
    mcpHostUrl: `${protocol}//${host}${ScriptPath.MCP}`,
    linkUrl: origin.replace(/^http/, "ws") + machinePath(slug, ScriptPath.LINK),
  };
}

/** The same address of the same machine after its slug changed from `from` to `to`. What names another machine stays as it is. */
export function readdress(address: string, from: string, to: string): string {
  const url = new URL(address);
  const named = machinePathIn(url.pathname);
  if (named?.slug === from) url.pathname = machinePath(to, named.path);
  else if (url.hostname.startsWith(`${from}.`)) url.hostname = `${to}${url.hostname.slice(from.length)}`;
  return url.href;
}
