import { generateKeyPairSync, randomBytes } from "node:crypto";
import * as z from "zod";
import { makeClaimCode } from "../claim-code.ts";
import { readStateFile } from "./file-failure.ts";
import { writeFileAtomically } from "./file.ts";

const NAMES = [
  "DISPATCH_SECRET",
  "REPORT_SECRET",
  "CLOUDFLARE_API_TOKEN",
  "CLAIM_CODE",
  "OWNER_TOKEN",
  "LOCAL_KEY",
] as const;
export type Secrets = Readonly<Record<(typeof NAMES)[number], string>>;

const ADVICE =
  "Put back a copy of it. Without one, delete it: new secrets are made, and each machine needs `codez setup` again.";

/** The secrets of this state folder, created on first use. They must not change: machine scripts contain keys derived from them. */
export async function readSecrets(path: string): Promise<Secrets> {
  const known =
    (await readStateFile(path, { schema: z.record(z.string(), z.string()), advice: ADVICE, isSecret: true })) ?? {};
  const made = Object.fromEntries(NAMES.map((name) => [name, known[name] ?? make(name)]));
  const secrets = { ...known, ...made };
  if (NAMES.some((name) => known[name] === undefined))
    await writeFileAtomically(path, `${JSON.stringify(secrets, null, 2)}\n`);
  return made as Secrets; // every name was just given a value
}

function make(name: (typeof NAMES)[number]): string {
  switch (name) {
    case "CLAIM_CODE":
      return makeClaimCode(); // typed by a person; the others are not
    case "OWNER_TOKEN":
      // The format of the control API's own tokens (control-api/src/sign-in/access-token.ts): 256 bits in 43 characters.
      return `opr_owner_${randomBytes(32).toString("base64url")}`;
    case "LOCAL_KEY":
      return JSON.stringify(generateKeyPairSync("ed25519").privateKey.export({ format: "jwk" }));
    default:
      return randomBytes(32).toString("hex");
  }
}
