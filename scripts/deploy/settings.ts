import { join } from "node:path";
import { parseArgs } from "node:util";
import * as z from "zod";
import { REPOSITORY } from "../build/repository.ts";

/** Where an Operator is deployed to, and how. */
export type Settings = {
  action: "deploy" | "destroy" | "doctor";
  domain: string;
  /** Of the Worker. Those of the dispatch Worker and the namespace follow from it. */
  name: string;
  accountId: string;
  /** Deploys: Workers, routes, the namespace. */
  apiToken: string;
  /** Is held by the public Worker, which uploads machines' scripts with it. `null`: the one that deploys. */
  runtimeToken: string | null;
  apiUrl: string;
  /** The folder in which deployments' secrets are stored. */
  stateDir: string;
  /** Vars of the control API when MCPAuthKit signs people in. */
  authKit: Record<string, string>;
  /** The host at which gates other than the control API reach the dispatch Worker; `null`: none reaches it. */
  gateHost: string | null;
  allowApex: boolean;
  rotate: boolean;
  dryRun: boolean;
  /** Does not ask before it changes the account. */
  yes: boolean;
};

export const HELP = `Deploys Operator to your Cloudflare account (Workers for Platforms).

  npm run deploy -- --domain operator.example.com             show what will be done, ask, do it; safe to repeat
  npm run deploy -- --domain operator.example.com --destroy   remove what it made, and nothing else
  npm run deploy -- doctor --domain operator.example.com      check it from outside

  --name           of this Operator in the account, where it is not the only one (operator)
  --yes            do not ask
  --dry-run        bundle the Workers, ask nothing of Cloudflare
  --rotate-secret  replace the secret between the Workers; the former one works until the next rotation
  --gate-host      a host of the same zone at which gates of your own reach the dispatch Worker (scripts/gates)
  --allow-apex     the domain is a whole zone, and Operator may take all its proxied subdomains

Environment:
  CLOUDFLARE_ACCOUNT_ID     the account
  CLOUDFLARE_API_TOKEN      deploys: Workers Scripts: Edit, Workers Routes: Edit, Zone: Read
  CLOUDFLARE_RUNTIME_TOKEN  is held by the public Worker: Workers Scripts: Edit alone
  OPERATOR_STATE            the folder for this deployment's secrets (.operator)
  AUTHKIT_URL               an MCPAuthKit instance that signs people in, instead of Operator itself
  AUTHKIT_ALLOW             which of its people to let in: subjects or e-mail addresses, the owner's first

The domain must be on a zone of that account, with proxied DNS records for it and for *.<domain>, and a certificate
that covers both. scripts/deploy/README.md says how.`;

const HOSTNAME = /^(?=.{4,200}$)[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)+$/;

/** A Worker's name, with room for "-dispatch" within the 63 characters that a label of a host may have. */
const NAME = /^[a-z](?:[a-z0-9-]{0,40}[a-z0-9])?$/;

const Domain = z
  .string("--domain is missing: the host that Operator is to have")
  .regex(HOSTNAME, "--domain is not a host name");
const Given = z.object({
  domain: Domain,
  name: z.string().regex(NAME, "--name is not a name: use up to 42 small letters, digits and -").default("operator"),
  gateHost: z.string().regex(HOSTNAME, "--gate-host is not a host name").optional(),
  accountId: z.string("CLOUDFLARE_ACCOUNT_ID is not set").min(1, "CLOUDFLARE_ACCOUNT_ID is empty"),
  apiToken: z.string("CLOUDFLARE_API_TOKEN is not set").min(1, "CLOUDFLARE_API_TOKEN is empty"),
});

/** Reads the command line and the environment. Answers a sentence when something is missing, `null` when help is wanted. */
export function readSettings(args: readonly string[], env: NodeJS.ProcessEnv): Settings | string | null {
  const options = {
    domain: { type: "string" },
    name: { type: "string" },
    "gate-host": { type: "string" },
    "allow-apex": { type: "boolean" },
    "rotate-secret": { type: "boolean" },
    "dry-run": { type: "boolean" },
    destroy: { type: "boolean" },
    yes: { type: "boolean" },
    help: { type: "boolean" },
  } as const;
  const { values, positionals } = parseArgs({ args: [...args], options, allowPositionals: true });
  if (values.help === true) return null;
  const [command] = positionals;
  if (positionals.length > 1 || (command !== undefined && command !== "doctor"))
    return `"${positionals.join(" ")}" is not a command. There is one, doctor.`;
  const given = Given.safeParse({
    domain: values.domain,
    name: values.name,
    gateHost: values["gate-host"],
    // A doctor looks from outside, like any client.
    accountId: command === "doctor" ? "none" : env["CLOUDFLARE_ACCOUNT_ID"],
    apiToken: command === "doctor" ? "none" : env["CLOUDFLARE_API_TOKEN"],
  });
  if (!given.success) return given.error.issues.map(({ message }) => message).join("\n");
  const { gateHost = null, ...rest } = given.data;
  return {
    ...rest,
    gateHost,
    action: command ?? (values.destroy === true ? "destroy" : "deploy"),
    runtimeToken: env["CLOUDFLARE_RUNTIME_TOKEN"] || null,
    apiUrl: env["CLOUDFLARE_API_URL"] ?? "https://api.cloudflare.com/client/v4",
    stateDir: env["OPERATOR_STATE"] || join(REPOSITORY, ".operator"),
    authKit: Object.fromEntries(
      ["AUTHKIT_URL", "AUTHKIT_ALLOW"].flatMap((name) => (env[name] ? [[name, env[name]]] : [])),
    ),
    allowApex: values["allow-apex"] === true,
    rotate: values["rotate-secret"] === true,
    dryRun: values["dry-run"] === true,
    yes: values.yes === true,
  };
}
