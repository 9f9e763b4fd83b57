import type { Package } from "./lock-file.ts";

/** Licences whose only condition is to pass the text on: everything that is shipped to machines has one of these. */
const PERMISSIVE = [
  "0BSD",
  "Apache-2.0",
  "BSD-2-Clause",
  "BSD-3-Clause",
  "BlueOak-1.0.0",
  "ISC",
  "MIT",
  "MIT-0",
] as const;

/**
 * Also allowed in what is installed to run an Operator: data under CC-BY (caniuse-lite), and MPL-2.0, whose condition ends at the
 * files under it (lightningcss, which a dependency's build tool brings and no code here calls).
 */
const INSTALLED = [...PERMISSIVE, "CC-BY-4.0", "MPL-2.0"] as const;

/** Also allowed in tools that are used here and shipped to nobody: libvips, which Miniflare's image binding loads as a library. */
const TOOLS = [...INSTALLED, "AFL-2.1", "CC0-1.0", "LGPL-3.0-or-later"] as const;

const ALLOWED = { shipped: PERMISSIVE, installed: INSTALLED, tools: TOOLS } as const;

/** What happens with a package: shipped in `codez.tgz`, installed with an Operator, or used to build and test. */
export type Use = keyof typeof ALLOWED;

/** The packages whose licence is not allowed for that use, each with its licence. */
export function refusedLicences(packages: readonly Package[], use: Use): string[] {
  const allowed: ReadonlySet<string> = new Set(ALLOWED[use]);
  return packages
    .filter(({ license }) => license === null || !isAllowed(license, allowed))
    .map(({ name, version, license }) => `${name} ${version}: ${license ?? "no licence"}`);
}

/** One of several licences suffices (`OR`); of several that apply together (`AND`) each must be allowed. SPDX, annex D. */
function isAllowed(expression: string, allowed: ReadonlySet<string>): boolean {
  const plain = expression.replaceAll(/^\((.*)\)$/g, "$1");
  return plain.split(" OR ").some((choice) => choice.split(" AND ").every((license) => allowed.has(license)));
}
