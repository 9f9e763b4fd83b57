import { hostname } from "node:os";
import { machineNameFrom } from "#protocol/slug.ts";
import { checkName } from "../check-name.ts";
import { ExitCode } from "../exit-code.ts";
import { CodezFailure } from "../failure.ts";
import type { Profile } from "../profile/profile.ts";
import type { ProfileFolder } from "../profile/profile-folder.ts";

/** The machine that setup is for: one with a profile on this computer, or a new one. */
export type Plan = { readonly key: string; readonly name: string; readonly profile: Profile | null };

/**
 * Without a name, setup is for the machine that this computer already is at that Operator, or for a new one with the computer's
 * name. Throws `CodezFailure` when the computer is several machines there, or its name cannot be a machine's name.
 */
export function planSetup(
  folder: ProfileFolder,
  hub: string,
  name: string | undefined,
  profileName: string | undefined,
): Plan {
  if (profileName !== undefined) {
    const profile = folder.read(profileName);
    return {
      key: profileName,
      name: checkName(name ?? profile?.name ?? ownName(), "codez setup"),
      profile: sameHub(profile, hub),
    };
  }
  if (name !== undefined) {
    const found = folder.find(hub, checkName(name, "codez setup"));
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
    `This computer's name, "${hostname()}", cannot be turned into a machine's name.`,
    "Choose one: codez setup <name>",
  );
}

/**
 * The profile if it belongs to this Operator. Another Operator's profile is overwritten, because its token and identity are
 * useless here.
 */
function sameHub(profile: Profile | null, hub: string): Profile | null {
  return profile?.hub === hub ? profile : null;
}
