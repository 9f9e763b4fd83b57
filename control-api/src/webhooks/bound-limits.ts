import type { Sight } from "../http/caller.ts";
import type { Limits } from "./subscription.ts";

/**
 * The limits of a subscription that a former version stored by the names of machines: from now on by the computers that have these names.
 * `null` if of one of them it is not known which it is (machines/machine-record.ts).
 *
 * @param identities of all machines, by their names
 * @param sight what its credential shows; `null` if that has ended
 */
export function boundLimits(
  { filter, push }: Limits,
  identities: ReadonlyMap<string, string>,
  sight: Sight | null,
): Limits | null {
  const names = [...(filter.machine === null ? [] : [filter.machine.name]), ...(push?.muted ?? [])];
  if (names.some((name) => identities.get(name) === "")) return null;
  const bound = (name: string) => ({ name, identity: identities.get(name) ?? "" });
  return {
    filter: { ...filter, machine: filter.machine === null ? null : bound(filter.machine.name) },
    visible: sight === null ? [] : sight.machines,
    push: push === null ? null : { ...push, muted: push.muted.flatMap((name) => identities.get(name) ?? []) },
  };
}
