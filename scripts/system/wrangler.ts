import { execFile } from "node:child_process";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { childEnvironment } from "./child-environment.ts";

/** Bundling takes 1 to 2 s. The limit only ends a Wrangler that hangs. Milliseconds. */
const BUNDLE_TIMEOUT_MS = 120_000;

const ENVIRONMENT = {
  WRANGLER_HIDE_BANNER: "true",
  WRANGLER_SEND_METRICS: "false",
  WRANGLER_LOG_SANITIZE: "true",
  FORCE_COLOR: "0",
  CI: "1",
};

/** Nobody reads the source maps that Wrangler makes unless it is told not to, and they take a third of esbuild's time. */
export const NO_SOURCE_MAPS = "--upload-source-maps=false";

export type BundleOptions = {
  /** More arguments, such as `--minify`. */
  readonly args?: readonly string[];
  readonly cwd?: string;
  /** Ends Wrangler at once. */
  readonly signal?: AbortSignal;
};

/** A Worker that could not be bundled. The message is what Wrangler said. */
export class BundleFailure extends Error {
  override readonly name = "BundleFailure";
}

/** Bundles the Worker of a wrangler.jsonc into the folder `out`, as a deployment would upload it. @throws BundleFailure */
export async function bundleWithWrangler(
  config: string,
  out: string,
  { args = [], ...options }: BundleOptions = {},
): Promise<void> {
  // The program itself, and not `bin/wrangler.js`, which would start it as a child that a kill does not reach.
  const wrangler = join(wranglerFor(dirname(config)), "wrangler-dist/cli.js");
  const dryRun = ["deploy", "--dry-run", "--outdir", out, "--config", config];
  const command = ["--no-warnings", wrangler, ...dryRun, NO_SOURCE_MAPS, ...args];
  try {
    await promisify(execFile)(process.execPath, command, {
      ...options,
      env: { ...childEnvironment(process.env), ...ENVIRONMENT },
      timeout: BUNDLE_TIMEOUT_MS,
      killSignal: "SIGKILL", // on a full disk it may spin, and would not hear SIGTERM
    });
  } catch (reason) {
    const said = reason instanceof Error && "stderr" in reason ? String(reason.stderr).trim() : "";
    throw new BundleFailure(`${config} could not be bundled\n${said || String(reason)}`, { cause: reason });
  }
}

/** The folder of Wrangler's package: the one that is installed with this program, or where there is none, with the Worker. */
function wranglerFor(folder: string): string {
  for (const from of [import.meta.url, join(folder, "package.json")])
    try {
      return dirname(createRequire(from).resolve("wrangler/package.json"));
    } catch {
      // Not installed there: the next place is asked.
    }
  throw new BundleFailure(
    `Wrangler, which bundles Workers, is not installed. Run in ${folder}: npm install && npm install --save-dev wrangler`,
  );
}
