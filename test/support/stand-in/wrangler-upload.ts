import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

const WRANGLER = fileURLToPath(new URL("../../../node_modules/wrangler/bin/wrangler.js", import.meta.url));
const run = promisify(execFile);

/** One part of an upload's form; `json` of the part `metadata` alone. */
export type UploadPart = { name: string; filename: string | null; type: string | null; json?: Record<string, unknown> };

/** The parts of the form with which wrangler itself would upload a script with a machine script's kinds of bindings. */
export async function wranglerUpload(): Promise<UploadPart[]> {
  const folder = await mkdtemp(join(tmpdir(), "operator-golden-"));
  try {
    await writeFile(join(folder, "index.js"), "export class Machine {}\nexport default { fetch() {} };\n");
    await writeFile(
      join(folder, "secrets.json"),
      JSON.stringify({ LINK_TOKEN_HASH: "", LINK_SECRET: "", REPORT_KEY: "" }),
    );
    await writeFile(
      join(folder, "wrangler.json"),
      JSON.stringify({
        name: "golden",
        main: "index.js",
        no_bundle: true,
        compatibility_date: "2026-08-01",
        compatibility_flags: ["enable_request_signal"],
        observability: { enabled: true },
        vars: { OWNER: "", NAME: "", SLUG: "", TEMPLATE: "", IDENTITY: "", LINK_ISSUED_MS: "", LINK_KEY: "" },
        durable_objects: { bindings: [{ name: "MACHINE", class_name: "Machine" }] },
        migrations: [{ tag: "v1", new_sqlite_classes: ["Machine"] }],
        services: [{ binding: "CONTROL", service: "operator", entrypoint: "Reports" }],
      }),
    );
    const out = join(folder, "form");
    const args = [
      "deploy",
      "--dry-run",
      "--dispatch-namespace",
      "operator",
      "--secrets-file",
      "secrets.json",
      "--outfile",
      out,
    ];
    await run(process.execPath, [WRANGLER, ...args], {
      cwd: folder,
      env: { ...process.env, WRANGLER_SEND_METRICS: "false" },
    });
    return partsOf(await readFile(out));
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** The parts of a multipart form, which names its boundary in its first line. */
async function partsOf(bytes: Buffer<ArrayBuffer>): Promise<UploadPart[]> {
  const boundary = bytes.subarray(2, bytes.indexOf("\r\n")).toString();
  const form = await new Response(bytes, {
    headers: { "content-type": `multipart/form-data; boundary=${boundary}` },
  }).formData();
  return describeParts(form);
}

export function describeParts(form: FormData): UploadPart[] {
  return Array.from(form, ([name, value]) => {
    if (typeof value !== "string") return { name, filename: value.name, type: value.type };
    return { name, filename: null, type: null, json: JSON.parse(value) as Record<string, unknown> };
  });
}
