import { join } from "node:path";
import { type Bundle, bundleWorker, readBundle } from "./bundle.ts";
import { IS_PACKED, PROGRAM } from "./program.ts";
import { readWorkerConfig, type WorkerConfig } from "./worker-config.ts";

/** The folder with the sources of the two Workers: this repository, or one that a test names in OPERATOR_ROOT. */
export const REPOSITORY = process.env["OPERATOR_ROOT"] || PROGRAM;

export type BundledWorker = { readonly config: WorkerConfig; readonly bundle: Bundle };

/** Where the packed program has its bundles, made in advance: it comes without Wrangler. */
export const PACKED_BUNDLES = "build/bundles";

/** The repository's own Workers with their bundles. Bundles in `folder` that match the sources are reused. */
export async function bundleWorkers(
  root: string,
  folder: string,
): Promise<{ control: BundledWorker; dispatch: BundledWorker }> {
  const failed = new AbortController();
  const bundle = async (name: string): Promise<BundledWorker> => {
    const path = join(root, name, "wrangler.jsonc");
    const config = await readWorkerConfig(path);
    if (IS_PACKED) return { config, bundle: await readBundle(config, join(PROGRAM, PACKED_BUNDLES, name)) };
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
