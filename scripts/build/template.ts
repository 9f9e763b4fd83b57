import { createHash } from "node:crypto";
import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { atomicWrite } from "./atomic-write.ts";
import { CONTROL_BUILD, REPOSITORY } from "./repository.ts";

const run = promisify(execFile);

/** Characters of a template's version: enough to tell any two apart, few enough to read aloud. */
const VERSION_CHARACTERS = 8;

/** The machine template as one module, bundled as wrangler would deploy it, and its version: a hash of it. */
export async function buildTemplate(): Promise<void> {
  const out = await mkdtemp(join(tmpdir(), "operator-template-"));
  try {
    const wrangler = join(REPOSITORY, "node_modules/wrangler/bin/wrangler.js");
    const args = [
      "deploy",
      "--dry-run",
      "--minify",
      "--outdir",
      out,
      "--config",
      join(REPOSITORY, "machine-template/wrangler.jsonc"),
    ];
    await run(process.execPath, [wrangler, ...args], { env: { ...process.env, WRANGLER_SEND_METRICS: "false" } });
    const code = await readFile(join(out, "index.js"), "utf8");
    // The source map stays behind, and so does the line that points to it.
    const module = code.replace(/\n\/\/# sourceMappingURL=.*\s*$/, "\n");
    const version = createHash("sha256").update(module).digest("hex").slice(0, VERSION_CHARACTERS);
    await atomicWrite(`${CONTROL_BUILD}/machine.js.txt`, module);
    await atomicWrite(`${CONTROL_BUILD}/machine.version.txt`, version);
  } finally {
    await rm(out, { recursive: true, force: true });
  }
}
