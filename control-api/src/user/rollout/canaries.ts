import { CANARY_SHARE, type StartRollout } from "#protocol/rollout.ts";
import type { MachineRecord } from "../../machines/machine-record.ts";

/** A machine as far as the choice of canaries needs it. */
export type Candidate = Pick<MachineRecord, "name" | "online" | "facts" | "template">;

/**
 * The machines that get a template first. Only those that are online can be watched, so only those count. Answers a sentence that says
 * what to do if there would be none.
 */
export function chooseCanaries(
  candidates: readonly Candidate[],
  { names, tag, share = CANARY_SHARE }: NonNullable<StartRollout["canary"]> = {},
): ReadonlySet<string> | string {
  const online = candidates.filter((one) => one.online);
  if (names !== undefined) {
    const unfit = names.find((name) => !online.some((one) => one.name === name));
    if (unfit !== undefined)
      return `"${unfit}" cannot be a canary: there is no such machine, it is offline, or it has the current template.`;
    return new Set(names);
  }
  const tagged = tag === undefined ? online : online.filter((one) => hasTag(one, tag));
  if (tag !== undefined && tagged.length === 0)
    return `No machine that is online and has an older template has "${tag}" as its system, architecture or a capability.`;
  if (tagged.length === 0) return "No machine with an older template is online, so there is none to watch first.";
  const count = tag === undefined ? Math.ceil(tagged.length * share) : tagged.length;
  return new Set(tagged.slice(0, count).map(({ name }) => name));
}

function hasTag({ facts }: Candidate, tag: string): boolean {
  return facts !== null && [facts.os, facts.arch, ...facts.capabilities].includes(tag);
}
