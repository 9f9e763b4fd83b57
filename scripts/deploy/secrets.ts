import { randomBytes } from "node:crypto";
import { access, readFile } from "node:fs/promises";
import * as z from "zod";
import { makeClaimCode } from "../claim-code.ts";
import { writeJson } from "../system/json-file.ts";

/** The secrets of a deployment. Cloudflare never shows a secret again, so they are stored here, readable by their owner only. */
export const Secrets = z.object({
  DISPATCH_SECRET: z.string(),
  /** The previous dispatch secret. The dispatch Worker accepts both until all gates use the new one. */
  DISPATCH_SECRET_PREVIOUS: z.string().optional(),
  REPORT_SECRET: z.string(),
  /** The person who enters it at `/claim` becomes the owner. It works once. A new one is for an owner who can no longer sign in. */
  CLAIM_CODE: z.string(),
  /** A rotation has begun and not ended: some Workers may still have the previous secret only. */
  ROTATING: z.boolean().optional(),
});
export type Secrets = z.infer<typeof Secrets>;

/** Whether there are secrets of an earlier deployment. */
export async function hasSecrets(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}

/** Records that every Worker has the current secret, so that the next rotation makes a new one. */
export async function finishRotation(path: string): Promise<void> {
  const { ROTATING, ...secrets } = await readSecrets(path, false);
  if (ROTATING === true) await writeJson(path, secrets);
}

/**
 * The secrets in the file `path`. Creates them if there are none. `rotate` replaces the dispatch secret, unless a rotation is under way
 * that failed in the middle: then it is continued. A second new secret would push out the one that the Workers have.
 */
export async function readSecrets(path: string, rotate: boolean): Promise<Secrets> {
  const text = await readFile(path, "utf8").catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return null;
    throw error;
  });
  const known = text === null ? null : Secrets.parse({ CLAIM_CODE: makeClaimCode(), ...JSON.parse(text) });
  const isNew = rotate && known?.ROTATING !== true;
  if (known !== null && !isNew && text?.includes(known.CLAIM_CODE) === true) return known;
  const secrets: Secrets = {
    ...known,
    DISPATCH_SECRET: isNew || known === null ? secret() : known.DISPATCH_SECRET,
    REPORT_SECRET: known?.REPORT_SECRET ?? secret(),
    CLAIM_CODE: known?.CLAIM_CODE ?? makeClaimCode(),
    ...(known === null || !isNew ? {} : { DISPATCH_SECRET_PREVIOUS: known.DISPATCH_SECRET, ROTATING: true }),
  };
  await writeJson(path, secrets);
  return secrets;
}

function secret(): string {
  return randomBytes(32).toString("base64url");
}
