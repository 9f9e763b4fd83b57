import { ExitCode } from "../exit-code.ts";
import { CodezFailure } from "../failure.ts";
import { describeTarget } from "../make-target.ts";
import type { OperatorClient } from "../operator-client.ts";
import { DEFAULT_TARGET_URL, type Profile, type TargetSpec } from "../profile/profile.ts";
import type { ProfileFolder } from "../profile/profile-folder.ts";
import type { Steps } from "../steps.ts";
import { planSetup } from "./plan.ts";
import { proveOnline } from "./prove.ts";
import { register, renewToken } from "./register.ts";

export type Wanted = {
  /** The machine's name, and the profile's, as far as they were given. */
  readonly name: string | undefined;
  readonly profileName: string | undefined;
  readonly target: TargetSpec | null;
  /** Take the name over from another computer. */
  readonly replace: boolean;
  /** The setting for events, given the one known from before. */
  readonly events: (known: Profile["events"]) => Profile["events"];
};

export type Done = { readonly key: string; readonly profile: Profile; readonly isNew: boolean };

/**
 * Adds this computer as a machine, or repairs its setup, and proves from outside that it can come online. Repeating it changes
 * nothing that is right. Throws `CodezFailure`.
 */
export async function setUp(
  operator: OperatorClient,
  folder: ProfileFolder,
  wanted: Wanted,
  steps: Steps,
): Promise<Done> {
  const plan = planSetup(folder, operator.origin, wanted.name, wanted.profileName);
  const target = wanted.target ?? plan.profile?.target ?? { kind: "url" as const, url: DEFAULT_TARGET_URL };
  const events = wanted.events(plan.profile?.events ?? true);
  const self =
    plan.profile === null
      ? folder.begin(plan.key, { hub: operator.origin, name: plan.name })
      : { identity: plan.profile.identity, linkKey: folder.linkKey(plan.key).publicKey };
  const registered = await steps.run(`registering "${plan.name}" at ${operator.origin}`, () =>
    register(operator, plan, self, target, wanted.replace, events),
  );
  let { profile } = registered;
  folder.write(plan.key, profile);
  const proof = await steps.run("opening the link, and asking Operator whether it sees the machine", () =>
    proveOnline(operator, folder, plan.key, profile, registered.isNewToken),
  );
  if (proof.kind === "refused") {
    profile = await steps.run("saved token rejected; requesting a new one", () =>
      renewToken(operator, profile, self.linkKey),
    );
    folder.write(plan.key, profile);
    const again = await steps.run("opening the link again", () =>
      proveOnline(operator, folder, plan.key, profile, true),
    );
    if (again.kind === "refused")
      throw new CodezFailure(
        ExitCode.NOT_ONLINE,
        `Operator at ${operator.origin} refuses the token that it has just issued for "${profile.name}".`,
        `Look at Operator's own output, then: codez setup ${profile.name}`,
      );
  }
  return { key: plan.key, profile, isNew: registered.isNew };
}

/** The lines of a result that say what is connected where. */
export function describeSetup({ profile, isNew }: Done): string[] {
  const { name, hub, mcpUrl, target } = profile;
  return [
    `"${name}" is online at ${hub}${isNew ? "" : " (it was set up before)"}.`,
    `  its MCP server    ${describeTarget(target)}`,
    `  MCP, all machines ${hub}/mcp`,
    `  MCP, this one     ${mcpUrl}`,
  ];
}
