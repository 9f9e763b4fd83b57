import { execFile } from "node:child_process";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

const WRANGLER = fileURLToPath(new URL("../../../node_modules/wrangler/bin/wrangler.js", import.meta.url));
const run = promisify(execFile);

/** One part of an upload's form; only the part `metadata` has `json`. */
export type UploadPart = { name: string; filename: string | null; type: string | null; json?: Record<string, unknown> };

/** The parts of the form with which wrangler itself would upload a script with a machine script's kinds of bindings. */
export function machineUpload(): Promise<UploadPart[]> {
  return wranglerUpload(
    {
      main: "index.js",
      vars: { OWNER: "", NAME: "", SLUG: "", TEMPLATE: "", IDENTITY: "", LINK_ISSUED_MS: "", LINK_KEY: "" },
      durable_objects: { bindings: [{ name: "MACHINE", class_name: "Machine" }] },
      migrations: [{ tag: "v1", new_sqlite_classes: ["Machine"] }],
      services: [{ binding: "CONTROL", service: "operator-2", entrypoint: "Reports" }],
    },
    {
      "index.js": "export class Machine {}\nexport default { fetch() {} };\n",
      "secrets.json": JSON.stringify({ LINK_TOKEN_HASH: "", LINK_SECRET: "", REPORT_KEY: "" }),
    },
    ["--secrets-file", "secrets.json"],
  );
}

/** The same for a hosted server with every kind of module that one may have. */
export function hostedUpload(): Promise<UploadPart[]> {
  return wranglerUpload(
    {
      main: "entry.js",
      find_additional_modules: true,
      rules: [
        { type: "ESModule", globs: ["**/*.js"], fallthrough: false },
        { type: "CompiledWasm", globs: ["**/*.wasm"], fallthrough: false },
        { type: "Text", globs: ["**/*.txt"], fallthrough: false },
        { type: "Data", globs: ["**/*.bin"], fallthrough: false },
      ],
      vars: {
        OPERATOR_OWNER: "",
        OPERATOR_NAME: "",
        OPERATOR_SLUG: "",
        OPERATOR_TEMPLATE: "",
        OPERATOR_WRAPPER: "",
        COLOUR: "",
        SIZES: [1, 2],
      },
      durable_objects: { bindings: [{ name: "NOTES", class_name: "Notes" }] },
      migrations: [{ tag: "v1", new_sqlite_classes: ["Notes"] }],
    },
    {
      "entry.js": "export class Notes {}\nexport default { fetch() {} };\n",
      "host.js": "export const host = 1;\n",
      "server/index.js": "export default 1;\n",
      "server/add.wasm": "\0asm\u0001\0\0\0",
      "server/note.txt": "a note",
      "server/blob.bin": "bytes",
    },
    [],
  );
}

/** The form that `wrangler deploy` would send for these files, as a script of a dispatch namespace. */
async function wranglerUpload(
  config: Record<string, unknown>,
  files: Record<string, string>,
  options: readonly string[],
): Promise<UploadPart[]> {
  const folder = await mkdtemp(join(tmpdir(), "operator-golden-"));
  const common = {
    name: "golden",
    no_bundle: true,
    compatibility_date: "2026-08-01",
    compatibility_flags: ["enable_request_signal"],
    observability: { enabled: true },
  };
  try {
    for (const [path, text] of Object.entries({
      ...files,
      "wrangler.json": JSON.stringify({ ...common, ...config }),
    })) {
      await mkdir(dirname(join(folder, path)), { recursive: true });
      await writeFile(join(folder, path), text);
    }
    const out = join(folder, "form");
    const args = ["deploy", "--dry-run", "--dispatch-namespace", "operator", ...options, "--outfile", out];
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
