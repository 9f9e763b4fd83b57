import { vi } from "vitest";
import { OperatorClient } from "../../../../../scripts/codez/operator-client.ts";
import { Output } from "../../../../../scripts/codez/output.ts";
import { ProfileFolder } from "../../../../../scripts/codez/profile/profile-folder.ts";
import { setUp } from "../../../../../scripts/codez/setup/set-up.ts";
import { Steps } from "../../../../../scripts/codez/steps.ts";
import type { HubStandIn } from "./hub-stand-in.ts";

/**
 * Adds this computer as "attic" like `codez setup attic`, but in this process: for tests of what comes after that. A process of its own takes more
 * time to start than most of them.
 */
export async function setUpAttic(home: string, hub: HubStandIn): Promise<void> {
  const wanted = { name: "attic", profileName: undefined, target: null, replace: false, events: () => true };
  vi.stubEnv("CODEZ_HOME", home);
  try {
    await setUp(new OperatorClient(hub.origin, null), new ProfileFolder(home), wanted, new Steps(new Output(true)));
  } finally {
    vi.unstubAllEnvs();
  }
}
