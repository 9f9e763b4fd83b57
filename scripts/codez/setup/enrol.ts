import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as z from "zod";
import { codezHome } from "../../system/home.ts";
import { plainLoopback } from "../../system/plain-loopback.ts";
import { ExitCode } from "../exit-code.ts";
import { CodezFailure } from "../failure.ts";
import { operatorOrigin } from "../find-operator.ts";
import { OperatorClient } from "../operator-client.ts";
import { DEFAULT_TARGET_URL, newIdentity, type Profile } from "../profile/profile.ts";
import { ProfileFolder } from "../profile/profile-folder.ts";

/** The environment variable with the enrolment key: `ope_...@https://operator.example.com`. */
export const ENROLMENT_KEY = "CODEZ_ENROLMENT_KEY";

/** The name of the only profile in a machine's own folder. */
const PROFILE = "ephemeral";

/** Only this process asks its own server, and several such machines may share a computer's ports. */
const ANY_PORT = { port: 0 };

const Enrolled = z.object({
  name: z.string(),
  slug: z.string(),
  linkUrl: z.string(),
  mcpUrl: z.string(),
  token: z.string(),
  /** A serve.json, as JSON. */
  policy: z.record(z.string(), z.unknown()).nullable(),
});

/** A machine that exists for as long as its process. */
export type EphemeralMachine = {
  readonly folder: ProfileFolder;
  readonly key: string;
  readonly profile: Profile;
  /** The serve.json that its key says; `null` if this computer has one of its own. */
  readonly policy: Record<string, unknown> | null;
  /** Says that the machine ends, and deletes its files. */
  leave(): Promise<void>;
};

/** Makes this computer a machine with the enrolment key in its environment, without a person. Throws `CodezFailure`. */
export async function enrol(): Promise<EphemeralMachine> {
  const { key, origin } = keyInEnvironment();
  // Each run is a machine of its own, whose link key nobody else has, also if containers share their files.
  const home = mkdtempSync(join(tmpdir(), "codez-"));
  const operator = new OperatorClient(origin, key);
  const identity = newIdentity();
  try {
    const folder = new ProfileFolder(home);
    const { publicKey } = folder.newLinkKey(PROFILE);
    const asked = { identity, linkKey: publicKey };
    const { name, slug, linkUrl, mcpUrl, token, policy } = await operator.read(
      Enrolled,
      "POST",
      "/api/enrolments",
      asked,
    );
    const target = { kind: "url", url: DEFAULT_TARGET_URL } as const;
    const profile: Profile = { hub: origin, name, slug, linkUrl, mcpUrl, token, identity, target, events: true };
    folder.write(PROFILE, profile);
    const leave = async (): Promise<void> => {
      rmSync(home, { recursive: true, force: true });
      await operator.ask("DELETE", "/api/enrolments", { identity });
    };
    const hasOwnPolicy = existsSync(join(codezHome(), "serve.json"));
    return { folder, key: PROFILE, profile, policy: hasOwnPolicy ? null : { ...ANY_PORT, ...policy }, leave };
  } catch (reason) {
    rmSync(home, { recursive: true, force: true });
    if (!(reason instanceof CodezFailure) || reason.exitCode !== ExitCode.NOT_SIGNED_IN) throw reason;
    throw new CodezFailure(
      ExitCode.REVOKED,
      `Operator at ${origin} does not know this enrolment key: it was revoked, or is not whole.`,
      "Make another one where you are signed in: codez keys create --ephemeral --tag ci --reusable",
      reason,
    );
  }
}

/** The key, and the Operator that it is for. */
function keyInEnvironment(): { key: string; origin: string } {
  const [, key, origin] = /^(ope_[\w-]+)@(https?:\/\/\S+)$/.exec(process.env[ENROLMENT_KEY] ?? "") ?? [];
  if (key !== undefined && origin !== undefined && URL.canParse(origin))
    return { key, origin: plainLoopback(operatorOrigin(origin)) };
  throw new CodezFailure(
    ExitCode.USAGE,
    `${ENROLMENT_KEY} is not set to an enrolment key.`,
    "Make one where you are signed in: codez keys create --ephemeral --tag ci --reusable",
  );
}
