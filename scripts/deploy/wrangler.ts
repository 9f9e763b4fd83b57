import { spawn } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { REPOSITORY } from "../build/repository.ts";

/** One Worker's deployment. */
export type Deployment = {
  /** The Worker's folder. */
  readonly worker: string;
  readonly vars: Readonly<Record<string, string>>;
  readonly secrets: Readonly<Record<string, string>>;
  readonly routes: readonly string[];
  /** A host that becomes this Worker's own (a "custom domain"); `null`: none. */
  readonly host: string | null;
  readonly dryRun: boolean;
};

/** Deploys a Worker with Wrangler. Secrets are passed in a temporary file with mode 0600, because other users can read arguments. */
export async function deployWorker({ worker, vars, secrets, routes, host, dryRun }: Deployment): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "operator-deploy-"));
  try {
    const file = join(folder, "secrets.json");
    await writeFile(file, JSON.stringify(secrets), { mode: 0o600 });
    const args = ["deploy", "--config", join(REPOSITORY, worker, "wrangler.jsonc"), "--secrets-file", file];
    for (const [name, value] of Object.entries(vars)) args.push("--var", `${name}:${value}`);
    for (const route of routes) args.push("--route", route);
    if (host !== null) args.push("--domain", host);
    if (dryRun) args.push("--dry-run", "--outdir", join(folder, "out"));
    await wrangler(args);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

function wrangler(args: readonly string[]): Promise<void> {
  const program = join(REPOSITORY, "node_modules/wrangler/bin/wrangler.js");
  const child = spawn(process.execPath, [program, ...args], {
    stdio: ["ignore", "inherit", "inherit"],
    env: { ...process.env, WRANGLER_SEND_METRICS: "false" },
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
