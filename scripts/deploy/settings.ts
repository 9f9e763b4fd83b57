import { parseArgs } from "node:util";
import * as z from "zod";

/** Where an Operator is deployed to. */
export type Settings = {
  domain: string;
  accountId: string;
  apiToken: string;
  apiUrl: string;
  /** Vars of the control API when MCPAuthKit signs people in. */
  authKit: Record<string, string>;
  rotate: boolean;
  dryRun: boolean;
};

export const HELP = `Deploys Operator to your Cloudflare account (Workers for Platforms).

  npm run deploy -- --domain operator.example.com [--rotate-secret] [--dry-run]

Environment:
  CLOUDFLARE_ACCOUNT_ID   the account
  CLOUDFLARE_API_TOKEN    a token that may edit Workers Scripts and Workers Routes (and Zone: read)
  AUTHKIT_URL             an MCPAuthKit instance that is to sign people in, instead of Operator itself
  AUTHKIT_ALLOW           whom of its people to let in: subjects or e-mail addresses, the owner's first

The domain must be on a zone of that account, with proxied DNS records for it and for *.<domain>, and a certificate
that covers both. README.md, "Deploying", says how.`;

const HOSTNAME = /^(?=.{4,200}$)[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)+$/;

const Given = z.object({
  domain: z
    .string("--domain is missing: the host that Operator is to have")
    .regex(HOSTNAME, "--domain is no host name"),
  accountId: z.string("CLOUDFLARE_ACCOUNT_ID is not set").min(1, "CLOUDFLARE_ACCOUNT_ID is empty"),
  apiToken: z.string("CLOUDFLARE_API_TOKEN is not set").min(1, "CLOUDFLARE_API_TOKEN is empty"),
});

/** Reads the command line and the environment. Answers a sentence when something is missing, `null` when help is wanted. */
export function readSettings(args: readonly string[], env: NodeJS.ProcessEnv): Settings | string | null {
  const options = {
    domain: { type: "string" },
    "rotate-secret": { type: "boolean" },
    "dry-run": { type: "boolean" },
    help: { type: "boolean" },
  } as const;
  const { values } = parseArgs({ args: [...args], options });
  if (values.help === true) return null;
  const given = Given.safeParse({
    domain: values.domain,
    accountId: env["CLOUDFLARE_ACCOUNT_ID"],
    apiToken: env["CLOUDFLARE_API_TOKEN"],
  });
  if (!given.success) return given.error.issues.map(({ message }) => message).join("\n");
  return {
    ...given.data,
    apiUrl: env["CLOUDFLARE_API_URL"] ?? "https://api.cloudflare.com/client/v4",
    authKit: Object.fromEntries(
      ["AUTHKIT_URL", "AUTHKIT_ALLOW"].flatMap((name) => (env[name] ? [[name, env[name]]] : [])),
    ),
    rotate: values["rotate-secret"] === true,
    dryRun: values["dry-run"] === true,
  };
}
