/**
 * The addresses of a machine. Each machine has two, and both contain its slug: the path `/m/<slug>/...` on the Operator's
 * own host, and the host `<slug>.<domain>`. Only this file builds and parses them. The parsing functions take a URL that is
 * already parsed, because every call passes here. They do not validate the slug; callers use `isSlug` and refuse.
 */
import { ScriptPath } from "./script-api.ts";

/** What a URL addresses: a machine script, and the path that the script receives. */
export type MachineAddress = { readonly slug: string; readonly path: string };

const MACHINE_PREFIX = "/m/";

/** The machine that `url` addresses by host or, on any other host, by path; `null` when it addresses no machine. */
export function machineAddressIn(url: URL, domain: string): MachineAddress | null {
  const slug = machineHostLabel(url.hostname, domain);
  return slug === null ? machinePathIn(url.pathname) : { slug, path: url.pathname };
}

/** The first label of `hostname` if it is exactly one label below `domain`. A wildcard certificate covers only one label. */
export function machineHostLabel(hostname: string, domain: string): string | null {
  if (!hostname.endsWith(`.${domain}`)) return null;
  const label = hostname.slice(0, -domain.length - 1);
  return label.includes(".") ? null : label;
}

/** The slug in `/m/<slug>/...`, and the path after it (`/` when there is nothing). The path keeps its percent-encoding. */
export function machinePathIn(pathname: string): MachineAddress | null {
  if (!pathname.startsWith(MACHINE_PREFIX)) return null;
  const slash = pathname.indexOf("/", MACHINE_PREFIX.length);
  if (slash === -1) return { slug: pathname.slice(MACHINE_PREFIX.length), path: "/" };
  return { slug: pathname.slice(MACHINE_PREFIX.length, slash), path: pathname.slice(slash) };
}

/** `/m/<slug><path>`, where `path` is the one that the script receives. */
export function machinePath(slug: string, path: string): string {
  return `${MACHINE_PREFIX}${slug}${path}`;
}

/** All addresses of a machine: its MCP endpoint by path and by host, and the URL that its connector dials. */
export type MachineUrls = { mcpUrl: string; mcpHostUrl: string; linkUrl: string };

/**
 * `origin` is the Operator's own (scheme, host, port). Machines' hosts are labels under `domain`, with the same scheme and
 * port.
 */
export function machineUrls(slug: string, origin: string, domain: string): MachineUrls {
  const { protocol, port } = new URL(origin);
  const host = `${slug}.${domain}${port === "" ? "" : `:${port}`}`;
  return {
    mcpUrl: origin + machinePath(slug, ScriptPath.MCP),
    mcpHostUrl: `${protocol}//${host}${ScriptPath.MCP}`,
    linkUrl: origin.replace(/^http/, "ws") + machinePath(slug, ScriptPath.LINK),
  };
}

/** `address` after the machine's slug changed from `from` to `to`. The address of any other machine is returned unchanged. */
export function readdress(address: string, from: string, to: string): string {
  const url = new URL(address);
  const named = machinePathIn(url.pathname);
  if (named?.slug === from) url.pathname = machinePath(to, named.path);
  else if (url.hostname.startsWith(`${from}.`)) url.hostname = `${to}${url.hostname.slice(from.length)}`;
  return url.href;
}
