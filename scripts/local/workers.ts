import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type Bundle, bundleWorker } from "./bundle.ts";
import { readWorkerConfig, type WorkerConfig } from "./worker-config.ts";

/** The folder with the sources of the two Workers: this repository, or one that a test names in OPERATOR_ROOT. */
export const REPOSITORY = process.env["OPERATOR_ROOT"] || fileURLToPath(new URL("../..", import.meta.url));

export type BundledWorker = { readonly config: WorkerConfig; readonly bundle: Bundle };

/** The repository's own Workers with their bundles. Bundles in `folder` that match the sources are reused. */
export async function bundleWorkers(
  root: string,
  folder: string,
): Promise<{ control: BundledWorker; dispatch: BundledWorker }> {
  const failed = new AbortController();
  const bundle = async (name: string): Promise<BundledWorker> => {
    const path = join(root, name, "wrangler.jsonc");
    const config = await readWorkerConfig(path);
    return { config, bundle: await bundleWorker(path, config, join(folder, name), failed.signal) };
  };
  const both = [bundle("control-api"), bundle("dispatch-worker")] as const;
  try {
    const [control, dispatch] = await Promise.all(both);
    return { control, dispatch };
  } catch (reason) {
    failed.abort(); // the start ends now, and nothing of it may run on
    await Promise.allSettled(both);
    throw reason;
  }
}
