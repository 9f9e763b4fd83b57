/**
 * Names of machines and of the scripts behind them.
 *
 * A **name** is what the owner calls a machine (`attic`): one DNS label, unique among that owner's machines.
 * A **slug** is the machine script's name in the dispatch namespace and its host label: the name itself for the
 * operator's own account, `<name>--<tag>` for everybody else. The tag keeps users' names apart, so that nobody can find out
 * from a taken name that somebody else has such a machine.
 */

/**
 * An RFC 1123 label of 1 to 32 characters without `--`, which separates a name from its owner's tag (and begins Punycode,
 * `xn--`).
 */
const NAME = /^[a-z0-9](?:-?[a-z0-9]){0,31}$/;
const NAME_CHARACTERS = 32;
const TAG_SEPARATOR = "--";
const TAG = /^[a-z0-9]{8}$/;

/** Host labels and paths that Operator itself uses, or may use later. */
const RESERVED: ReadonlySet<string> = new Set([
  "admin", "api", "app", "apps", "assets", "auth", "codez", "dashboard", "dispatch", "docs", "health", "help",
  "internal", "link", "localhost", "login", "m", "mail", "mcp", "oauth", "operator", "pair", "static", "status",
  "support", "well-known", "www",
]); // prettier-ignore

/** Whether `text` may be a machine's name. */
export function isMachineName(text: string): boolean {
  return text.length <= NAME_CHARACTERS && NAME.test(text) && !RESERVED.has(text);
}

/** Whether `text` may be a machine script's name: a machine name, with or without an owner's tag. */
export function isSlug(text: string): boolean {
  // Asked at every call, several times on its way: so nothing is split.
  const at = text.indexOf(TAG_SEPARATOR);
  if (at === -1) return isMachineName(text);
  return isMachineName(text.slice(0, at)) && TAG.test(text.slice(at + TAG_SEPARATOR.length));
}

/** The slug of `name` for an owner with `tag` (empty for the operator's own account). */
export function slugOf(name: string, tag: string): string {
  return tag === "" ? name : `${name}${TAG_SEPARATOR}${tag}`;
}

/** The machine's name and its owner's tag (empty for the operator's own account) in a slug. */
export function namesIn(slug: string): { name: string; tag: string } {
  const [name = "", tag = ""] = slug.split(TAG_SEPARATOR);
  return { name, tag };
}

/** The machine name closest to a computer's hostname (`Jeff's-MacBook.local` becomes `jeffs-macbook`), or `null`. */
export function machineNameFrom(hostname: string): string | null {
  const [label = ""] = hostname.normalize("NFKD").toLowerCase().split(".");
  const name = label
    .replaceAll(/['’]|\p{M}/gu, "")
    .replaceAll(/[^a-z0-9]+/g, "-")
    .slice(0, NAME_CHARACTERS)
    .replaceAll(/^-+|-+$/g, "");
  if (isMachineName(name)) return name;
  const prefixed = `machine-${name}`.slice(0, NAME_CHARACTERS).replaceAll(/-+$/g, "");
  return name !== "" && isMachineName(prefixed) ? prefixed : null;
}
