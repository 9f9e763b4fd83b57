import type { Sight } from "../http/caller.ts";
import type { Limits } from "./subscription.ts";

/**
 * The limits of a subscription that is stored by the names of machines: from now on by the computers that have these names. Those of which it is
 * not known which computer they are (machines/machine-record.ts) stay as they are, and `isBound` is false.
 *
 * @param identities of all machines, by their names
 * @param sight what its credential shows; `null` if that has ended
 */
export function boundLimits(
  { filter, push }: Limits,
  identities: ReadonlyMap<string, string>,
  sight: Sight | null,
): { readonly limits: Limits; readonly isBound: boolean } {
  const isUnknown = (name: string): boolean => identities.get(name) === "";
  const { machine } = filter;
  const { muted = [], mutedNames = [] } = push ?? {};
  const unknown = mutedNames.filter(isUnknown);
  const identity = machine === null ? undefined : identities.get(machine.name);
  return {
    limits: {
      filter: { ...filter, machine: machine === null ? null : { ...machine, identity: identity ?? "" } },
      visible: sight === null ? [] : sight.machines,
      push:
        push === null
          ? null
          : {
              ...push,
              muted: [...muted, ...mutedNames.flatMap((name) => identities.get(name) || [])],
              mutedNames: unknown,
            },
    },
    isBound: identity !== "" && unknown.length === 0,
  };
}
