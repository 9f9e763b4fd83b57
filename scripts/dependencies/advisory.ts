import * as z from "zod/mini";
import { isOlderVersion } from "./version-order.ts";
import type { Package } from "./lock-file.ts";

const Event = z.object({
  introduced: z.optional(z.string()),
  fixed: z.optional(z.string()),
  last_affected: z.optional(z.string()),
});

/** An advisory in OSV's format (ossf.github.io/osv-schema), as far as it is needed to find affected packages. */
export const Advisory = z.object({
  id: z.string(),
  summary: z.optional(z.string()),
  withdrawn: z.optional(z.string()),
  affected: z.array(
    z.object({
      package: z.object({ ecosystem: z.string(), name: z.string() }),
      ranges: z.optional(z.array(z.object({ type: z.string(), events: z.array(Event) }))),
      versions: z.optional(z.array(z.string())),
    }),
  ),
});
export type Advisory = z.infer<typeof Advisory>;

/** Whether an advisory concerns this version of a package. A withdrawn one concerns none. */
export function concerns({ affected, withdrawn }: Advisory, { name, version }: Package): boolean {
  if (withdrawn !== undefined) return false;
  return affected.some(
    (one) =>
      one.package.ecosystem === "npm" &&
      one.package.name === name &&
      ((one.versions?.includes(version) ?? false) ||
        (one.ranges ?? []).some(({ type, events }) => type === "SEMVER" && isInRange(version, events))),
  );
}

/** Events in order: affected from `introduced` on, until `fixed` (without it) or `last_affected` (with it). */
function isInRange(version: string, events: readonly z.infer<typeof Event>[]): boolean {
  let isAffected = false;
  for (const { introduced, fixed, last_affected: last } of events) {
    if (introduced !== undefined && (introduced === "0" || !isOlderVersion(version, introduced))) isAffected = true;
    if (fixed !== undefined && !isOlderVersion(version, fixed)) isAffected = false;
    if (last !== undefined && isOlderVersion(last, version)) isAffected = false;
  }
  return isAffected;
}
