import { spawn } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { REPOSITORY } from "../build/repository.ts";
import { parseJsonc } from "../local/jsonc.ts";
import { WorkerConfig } from "../local/worker-config.ts";
import { childEnvironment } from "../system/child-environment.ts";
import { NO_SOURCE_MAPS } from "../system/wrangler.ts";
import type { Credentials, Names } from "./account.ts";

/** One Worker's deployment. */
export type Deployment = Credentials & {
  /** The Worker's folder. */
  readonly worker: "control-api" | "dispatch-worker";
  readonly names: Names;
  readonly vars: Readonly<Record<string, string>>;
  readonly secrets: Readonly<Record<string, string>>;
  readonly routes: readonly string[];
  /** A host that becomes this Worker's own (a "custom domain"); `null`: none. */
  readonly host: string | null;
  readonly dryRun: boolean;
};

/** Deploys a Worker with Wrangler. Secrets are passed in a temporary file with mode 0600, because other users can read arguments. */
export async function deployWorker(deployment: Deployment): Promise<void> {
  const { worker, names, vars, secrets, routes, host, dryRun } = deployment;
  const folder = await mkdtemp(join(tmpdir(), "operator-deploy-"));
  try {
    const file = join(folder, "secrets.json");
    await writeFile(file, JSON.stringify(secrets), { mode: 0o600 });
    const config = join(folder, "wrangler.json");
    await writeFile(config, JSON.stringify(await configFor(worker, names)));
    const args = ["deploy", "--config", config, "--secrets-file", file, NO_SOURCE_MAPS];
    for (const [name, value] of Object.entries(vars)) args.push("--var", `${name}:${value}`);
    for (const route of routes) args.push("--route", route);
    if (host !== null) args.push("--domain", host);
    if (dryRun) args.push("--dry-run", "--outdir", join(folder, "out"));
    await wrangler(args, deployment);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/**
 * The Worker's wrangler.jsonc with the names of this Operator. Wrangler has an option for a Worker's own name, but none for the names of
 * the Workers and namespaces that it is bound to.
 */
async function configFor(worker: Deployment["worker"], names: Names): Promise<object> {
  const folder = join(REPOSITORY, worker);
  const written: unknown = parseJsonc(await readFile(join(folder, "wrangler.jsonc"), "utf8"));
  const { $schema: _, ...config } = WorkerConfig.parse(written);
  return {
    ...config,
    name: worker === "control-api" ? names.control : names.dispatch,
    main: join(folder, config.main),
    services: config.services.map((service) => ({ ...service, service: names.dispatch })),
    dispatch_namespaces: config.dispatch_namespaces.map((one) => ({ ...one, namespace: names.namespace })),
  };
}

function wrangler(args: readonly string[], { accountId, apiToken, apiUrl }: Credentials): Promise<void> {
  // The program itself, and not `bin/wrangler.js`, which would start it as a child that a kill does not reach.
  const program = join(REPOSITORY, "node_modules/wrangler/wrangler-dist/cli.js");
  const { CLOUDFLARE_RUNTIME_TOKEN: _, ...environment } = childEnvironment();
  const child = spawn(process.execPath, ["--no-warnings", program, ...args], {
    // Without a terminal it asks nothing. Every question that it would ask is answered in the plan.
    stdio: ["ignore", "inherit", "inherit"],
    env: {
      ...environment,
      CLOUDFLARE_ACCOUNT_ID: accountId,
      CLOUDFLARE_API_TOKEN: apiToken,
      CLOUDFLARE_API_BASE_URL: apiUrl,
      WRANGLER_SEND_METRICS: "false",
      WRANGLER_HIDE_BANNER: "true",
    },
  });
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("exit", (code) =>
      code === 0
        ? resolve()
        : reject(new Error(`wrangler ${args[0]} ended with ${code}; what it printed above says why`)),
    );
  });
}
