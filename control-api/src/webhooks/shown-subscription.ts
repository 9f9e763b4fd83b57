import { type AskedFilter, shownFilter } from "../mcp-events/subscription-arguments.ts";
import type { Subscription } from "./subscription.ts";

/** A subscription as its person sees it: with the names that machines have now, and never an identity, by which an enrolled machine leaves. */
export type ShownSubscription = Omit<Subscription, "filter"> & {
  readonly filter: AskedFilter;
  /** The computer that it is limited to has no name here: it was removed, or another one has its name. Nothing is delivered until it is back. */
  readonly isPaused: boolean;
};

/** @param nameOf the name that a computer has now */
export function shownSubscription(
  { filter, visible, push, url, ...one }: Subscription,
  nameOf: (identity: string) => string | undefined,
): ShownSubscription {
  const names = (identities: readonly string[]): string[] => identities.flatMap((identity) => nameOf(identity) ?? []);
  const { machine } = filter;
  const now = machine === null ? undefined : nameOf(machine.identity);
  return {
    ...one,
    filter: shownFilter(filter, now ?? machine?.name ?? null),
    isPaused: machine !== null && now === undefined,
    visible: visible === null ? null : names(visible),
    push: push === null ? null : { ...push, muted: [...names(push.muted), ...push.mutedNames] },
    // A push service takes messages of anyone who knows the address and has our key. Nobody needs to see it.
    url: push === null ? url : new URL(url).origin,
  };
}
