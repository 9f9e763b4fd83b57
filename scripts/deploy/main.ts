import { join } from "node:path";
import { REPOSITORY } from "../build/repository.ts";
import { ensureNamespace } from "./namespace.ts";
import { readSecrets } from "./secrets.ts";
import { HELP, readSettings, type Settings } from "./settings.ts";
import { deployWorker } from "./wrangler.ts";

/** `npm run deploy`: the namespace, the dispatch Worker, then the control API, which is bound to it. */
async function deploy(settings: Settings): Promise<void> {
  const { domain, accountId, apiToken, authKit, rotate, dryRun } = settings;
  const secrets = await readSecrets(join(REPOSITORY, ".operator/deploy", `${domain}.json`), rotate);
  if (!dryRun) console.log(`dispatch namespace: ${await ensureNamespace(settings)}`);
  const { DISPATCH_SECRET, DISPATCH_SECRET_PREVIOUS, REPORT_SECRET, CLAIM_CODE } = secrets;
  const gate = { DISPATCH_SECRET, ...(DISPATCH_SECRET_PREVIOUS === undefined ? {} : { DISPATCH_SECRET_PREVIOUS }) };
  await deployWorker({ worker: "dispatch-worker", vars: { DOMAIN: domain }, secrets: gate, routes: [], dryRun });
  await deployWorker({
    worker: "control-api",
    vars: { DOMAIN: domain, ORIGIN: `https://${domain}`, CLOUDFLARE_ACCOUNT_ID: accountId, ...authKit },
    secrets: { DISPATCH_SECRET, REPORT_SECRET, CLAIM_CODE, CLOUDFLARE_API_TOKEN: apiToken },
    routes: [`${domain}/*`, `*.${domain}/*`],
    dryRun,
  });
  if (dryRun) return console.log("\nA dry run: nothing was deployed.");
  console.log(
    `\nOperator is at https://${domain}. MCP clients: https://${domain}/mcp. A new machine: npx -y https://${domain}/codez.tgz setup`,
  );
  console.log(`If nobody has claimed it yet, become its owner here: https://${domain}/claim#${CLAIM_CODE}`);
  console.log("Machines get the new script when they next dial in.");
}

const settings = readSettings(process.argv.slice(2), process.env);
if (settings === null) console.log(HELP);
else if (typeof settings === "string") {
  console.error(`${settings}\n\n${HELP}`);
  process.exitCode = 2;
} else {
  await deploy(settings).catch((reason: unknown) => {
    console.error(reason instanceof Error ? reason.message : reason);
    process.exitCode = 1;
  });
}
