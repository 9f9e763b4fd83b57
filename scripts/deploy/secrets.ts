import { randomBytes } from "node:crypto";
import { chmod, mkdir, readFile, writeFile } from "node:fs/promises";
import { dirname } from "node:path";
import * as z from "zod";
import { makeClaimCode } from "../claim-code.ts";

/** The secrets of a deployment. Cloudflare never shows a secret again, so they are stored here, readable by their owner only. */
export const Secrets = z.object({
  DISPATCH_SECRET: z.string(),
  /** The previous dispatch secret. The dispatch Worker accepts both until all gates use the new one. */
  DISPATCH_SECRET_PREVIOUS: z.string().optional(),
  REPORT_SECRET: z.string(),
  /** The person who enters it at `/claim` becomes the owner. It works once. A new one is for an owner who can no longer sign in. */
  CLAIM_CODE: z.string(),
});
export type Secrets = z.infer<typeof Secrets>;

/** The secrets in the file `path`. Creates them if there are none; `rotate` replaces the dispatch secret. */
export async function readSecrets(path: string, rotate: boolean): Promise<Secrets> {
  const text = await readFile(path, "utf8").catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return null;
    throw error;
  });
  const known = text === null ? null : Secrets.parse({ CLAIM_CODE: makeClaimCode(), ...JSON.parse(text) });
  if (known !== null && !rotate && text?.includes(known.CLAIM_CODE) === true) return known;
  const secrets: Secrets = {
    DISPATCH_SECRET: rotate || known === null ? secret() : known.DISPATCH_SECRET,
    REPORT_SECRET: known?.REPORT_SECRET ?? secret(),
    CLAIM_CODE: known?.CLAIM_CODE ?? makeClaimCode(),
    ...(known === null || !rotate ? {} : { DISPATCH_SECRET_PREVIOUS: known.DISPATCH_SECRET }),
  };
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  await writeFile(path, `${JSON.stringify(secrets, null, 2)}\n`, { mode: 0o600 });
  await chmod(path, 0o600); // the mode above is for a new file only
  return secrets;
}

function secret(): string {
  return randomBytes(32).toString("base64url");
}
