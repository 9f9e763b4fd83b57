import { confirm, isCancel } from "@clack/prompts";
import { findOperator, namedHub } from "../find-operator.ts";
import { Installation } from "../install/installation.ts";
import { addToPath } from "../install/path-entry.ts";
import { hubOfTarball } from "../invocation.ts";
import type { OperatorClient } from "../operator-client.ts";
import type { Output } from "../output.ts";
import type { Profile } from "../profile/profile.ts";
import type { ProfileFolder } from "../profile/profile-folder.ts";
import { Service } from "../service/service.ts";
import { Steps } from "../steps.ts";
import { VERSION } from "../version.ts";
import { offerService } from "./offer-service.ts";
import { choosePermissions, type PermissionAnswer } from "./permission-choice.ts";
import { describeSetup, setUp } from "./set-up.ts";

type Choices = {
  readonly hub?: string;
  /** Whether to install the service; `undefined`: ask, if somebody is there. */
  readonly service?: boolean;
  readonly permissions?: PermissionAnswer;
  readonly mayAsk: boolean;
};

export type FirstUp = {
  readonly key: string;
  readonly profile: Profile;
  readonly operator: OperatorClient;
  /** The service connects the machine, so this process does not have to. */
  readonly isService: boolean;
};

/**
 * The profile that `codez up` is for, if this computer is a machine of that Operator already: of the one that was named, or that
 * this codez came from; else any. `null`: there is none yet.
 */
export function profileHere(
  folder: ProfileFolder,
  givenHub: string | undefined,
  name: string | undefined,
): { key: string; profile: Profile } | null {
  const hub = namedHub(givenHub);
  const keys = folder.names().filter((key) => {
    if (name !== undefined && key !== name && folder.read(key)?.name !== name) return false;
    return hub === null || folder.read(key)?.hub === hub;
  });
  if (keys.length === 0) return null;
  return folder.choose(keys.length === 1 ? keys[0] : name);
}

/** Everything that `codez up` does once on a computer. Throws `CodezFailure`. */
export async function firstUp(
  folder: ProfileFolder,
  name: string | undefined,
  { hub, service, permissions, mayAsk }: Choices,
  output: Output,
): Promise<FirstUp> {
  const operator = await findOperator(hub, folder);
  const wanted = { name, profileName: undefined, target: null, replace: false, events: () => true };
  const done = await setUp(operator, folder, wanted, new Steps(output));
  for (const line of describeSetup(done)) output.line(line);
  for (const line of installToStay()) output.line(line);
  output.line(await choosePermissions(permissions, mayAsk));
  const isService = await offerService({
    given: service,
    wants: async () => mayAsk && (await wantsService()),
    install: () => new Service(done.key).install(done.profile.target),
    say: (line) => output.line(line),
  });
  if (!isService && !mayAsk) output.line(`To connect whenever this computer starts: codez service install ${done.key}`);
  return { key: done.key, profile: done.profile, operator, isService };
}

/** A codez that npx runs is gone when npm clears its cache. A clone's, or one that is installed, stays by itself. */
function installToStay(): string[] {
  const hub = hubOfTarball(process.argv[1]);
  if (hub === null) return [];
  const installation = new Installation();
  installation.installOwn(VERSION, hub);
  const entry = addToPath(installation.command);
  return [
    `installed           ${installation.command}`,
    entry.kind === "link"
      ? `on the PATH         ${entry.path}`
      : `on the PATH         of new terminals, by a line in ${entry.path}`,
  ];
}

async function wantsService(): Promise<boolean> {
  const answer = await confirm({ message: "Connect whenever this computer starts (as a service)?" });
  return !isCancel(answer) && answer;
}
