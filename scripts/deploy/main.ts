import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { createInterface } from "node:readline/promises";
import { CONTROL_BUILD } from "../build/repository.ts";
import { linesOf } from "../operator/finding.ts";
import { print } from "../print.ts";
import { Account, namesOf } from "./account.ts";
import { lookAtDeployment } from "./doctor.ts";
import { type Plan, planDeployment, routesOf } from "./plan.ts";
import { planRemoval } from "./removal.ts";
import { finishRotation, hasSecrets, readSecrets } from "./secrets.ts";
import { HELP, readSettings, type Settings } from "./settings.ts";
import { deployWorker } from "./wrangler.ts";

/** `npm run deploy`: shows what it will do, asks, and does it. Every step can be repeated. */
async function main(settings: Settings): Promise<void> {
  const { domain, action, rotate, dryRun } = settings;
  if (action === "doctor") return doctor(domain);
  const account = new Account(settings);
  const file = join(settings.stateDir, "deploy", `${domain}.json`);
  if (action === "destroy") {
    if (!(await carryOut(await planRemoval(account, settings), settings))) return;
    console.log(
      `\nOperator is removed from ${domain}. The DNS records are yours to delete; ${file} is of no more use.`,
    );
    return;
  }
  const known = await hasSecrets(file);
  // The secrets are made when the first step needs them: who says no to the plan must not find them changed.
  const secrets = () => readSecrets(file, rotate);
  const workers = {
    dispatch: async () => deployDispatch(settings, await secrets()),
    control: async () => deployControl(settings, await secrets()),
  };
  if (dryRun) {
    await workers.dispatch();
    await workers.control();
    return console.log("\nA dry run: nothing was deployed.");
  }
  if (!(await carryOut(await planDeployment(account, settings, workers, known), settings))) return;
  await finishRotation(file);
  const { CLAIM_CODE } = await readSecrets(file, false);
  console.log(
    `\nOperator is at https://${domain}. MCP clients: https://${domain}/mcp. A new machine: npx -y https://${domain}/codez.tgz setup`,
  );
  console.log(`If nobody has claimed it yet, become its owner here: https://${domain}/claim#${CLAIM_CODE}`);
  console.log(
    `Machines get the new script when they next dial in. Check it from outside: npm run deploy -- doctor --domain ${domain}`,
  );
}

type Secrets = Awaited<ReturnType<typeof readSecrets>>;

async function deployDispatch(settings: Settings, secrets: Secrets): Promise<void> {
  const { DISPATCH_SECRET, DISPATCH_SECRET_PREVIOUS = DISPATCH_SECRET } = secrets;
  await deployWorker({
    ...settings,
    worker: "dispatch-worker",
    names: namesOf(settings.name),
    vars: { DOMAIN: settings.domain },
    // Always both: wrangler keeps a Worker's secrets that it is not given, and a previous secret of long ago must not stay valid.
    secrets: { DISPATCH_SECRET, DISPATCH_SECRET_PREVIOUS },
    routes: [],
    host: settings.gateHost,
  });
}

async function deployControl(
  settings: Settings,
  { DISPATCH_SECRET, REPORT_SECRET, CLAIM_CODE }: Secrets,
): Promise<void> {
  const { domain, name, accountId, apiToken, apiUrl, runtimeToken, authKit } = settings;
  const names = namesOf(name);
  await deployWorker({
    ...settings,
    worker: "control-api",
    names,
    vars: {
      DOMAIN: domain,
      ORIGIN: `https://${domain}`,
      CLOUDFLARE_ACCOUNT_ID: accountId,
      CLOUDFLARE_API_URL: apiUrl,
      DISPATCH_NAMESPACE: names.namespace,
      SERVICE: names.control,
      ...authKit,
    },
    secrets: { DISPATCH_SECRET, REPORT_SECRET, CLAIM_CODE, CLOUDFLARE_API_TOKEN: runtimeToken ?? apiToken },
    routes: routesOf(domain),
    host: null,
  });
}

/** Shows a plan, asks, and runs its steps in order. Answers whether it did. @throws what a step throws, with how to go on */
async function carryOut({ steps, warnings }: Plan, { yes }: Settings): Promise<boolean> {
  if (steps.length === 0) {
    console.log("There is nothing to do.");
    for (const warning of warnings) console.log(`Note: ${warning}`);
    return false;
  }
  console.log("This will");
  for (const { text } of steps) console.log(`  - ${text}`);
  for (const warning of warnings) console.log(`Note: ${warning}`);
  if (!yes && !(await isAgreed())) {
    console.log("Nothing was changed.");
    return false;
  }
  for (const { text, run } of steps) {
    console.log(`\n${text} ...`);
    await run().catch((reason: unknown) => {
      const why = reason instanceof Error ? reason.message : String(reason);
      throw new Error(
        `${why}\nIt stopped at: ${text}. What was done before stays. Run the same command again to go on.`,
        {
          cause: reason,
        },
      );
    });
  }
  return true;
}

async function isAgreed(): Promise<boolean> {
  if (!process.stdin.isTTY) {
    console.log("Run it again with --yes to agree.");
    process.exitCode = 1; // a script that calls this must not take it for a deployment
    return false;
  }
  const terminal = createInterface({ input: process.stdin, output: process.stdout });
  const answer = await terminal.question("Go on? (y/N) ");
  terminal.close();
  return /^y(es)?$/i.test(answer.trim());
}

/** Checks a deployment as machines and clients see it, from outside. */
async function doctor(domain: string): Promise<void> {
  const version = await readFile(join(CONTROL_BUILD, "machine.version.txt"), "utf8");
  const findings = await lookAtDeployment(`https://${domain}`, version.trim());
  for (const finding of findings) print(linesOf(finding));
  if (findings.some(({ level }) => level === "problem")) process.exitCode = 1;
}

const settings = readSettings(process.argv.slice(2), process.env);
if (settings === null) console.log(HELP);
else if (typeof settings === "string") {
  console.error(`${settings}\n\n${HELP}`);
  process.exitCode = 2;
} else {
  await main(settings).catch((reason: unknown) => {
    console.error(reason instanceof Error ? reason.message : reason);
    process.exitCode = 1;
  });
}
