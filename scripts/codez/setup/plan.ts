import { hostname } from "node:os";
import { isMachineName, machineNameFrom } from "#protocol/slug.ts";
import { ExitCode } from "../exit-code.ts";
import { CodezFailure } from "../failure.ts";
import type { Profile } from "../profile/profile.ts";
import type { ProfileFolder } from "../profile/profile-folder.ts";

/** Which machine setup is about: a profile that is here already, or a new one. */
export type Plan = { readonly key: string; readonly name: string; readonly profile: Profile | null };

/**
 * Without a name it is the machine that this computer is at that Operator, if it is one alone; else one called as the computer.
 * Throws `CodezFailure` when no name can be made, or several machines could be meant.
 */
export function planSetup(
  folder: ProfileFolder,
  hub: string,
  name: string | undefined,
  profileName: string | undefined,
): Plan {
  if (profileName !== undefined) {
    const profile = folder.read(profileName);
    return { key: profileName, name: checkName(name ?? profile?.name ?? ownName()), profile: sameHub(profile, hub) };
  }
  if (name !== undefined) {
    const found = folder.find(hub, checkName(name));
    return { key: found?.key ?? folder.freeKey(name), name, profile: found?.profile ?? null };
  }
  const here = folder.names().filter((key) => folder.read(key)?.hub === hub);
  const [key, ...others] = here;
  if (key === undefined) return planSetup(folder, hub, ownName(), undefined);
  const profile = folder.read(key);
  if (others.length === 0 && profile !== null) return { key, name: profile.name, profile };
  throw new CodezFailure(
    ExitCode.USAGE,
    `This computer is set up as several machines: ${here.join(", ")}.`,
    "Say which one, or a new name: codez setup <name>",
  );
}

function ownName(): string {
  const name = machineNameFrom(hostname());
  if (name !== null) return name;
  throw new CodezFailure(
    ExitCode.USAGE,
    `This computer's name, "${hostname()}", does not make a machine's name.`,
    "Choose one: codez setup <name>",
  );
}

function checkName(name: string): string {
  if (isMachineName(name)) return name;
  const near = machineNameFrom(name);
  throw new CodezFailure(
    ExitCode.USAGE,
    `"${name}" cannot be a machine's name: 1 to 32 of a-z, 0-9 and single hyphens inside; some names are the operator's own.`,
    near === null || near === name ? "codez setup <another-name>" : `codez setup ${near}`,
  );
}

/** A profile of another Operator is written over: its token and identity are of no use here. */
function sameHub(profile: Profile | null, hub: string): Profile | null {
  return profile?.hub === hub ? profile : null;
}
