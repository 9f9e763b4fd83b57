import { join } from "node:path";
import { expect, test } from "vitest";
import { REPOSITORY } from "../../../scripts/build/repository.ts";
import { readWorkerConfig } from "../../../scripts/local/worker-config.ts";

test.each(["control-api", "dispatch-worker"])(
  "%s is reachable only at its own routes, not on workers.dev, and its older versions nowhere",
  async (worker) => {
    const config = await readWorkerConfig(join(REPOSITORY, worker, "wrangler.jsonc"));
    expect(config).toMatchObject({ workers_dev: false, preview_urls: false });
    expect(config.routes).toBeUndefined();
  },
);
