import * as z from "zod";
import { readBracketForm } from "./bracket-form.ts";
import { fail } from "./error.ts";
import { Metadata } from "./metadata.ts";

/** Cloudflare takes 10 MB compressed; uncompressed this is far more than any script that it would take. */
export const UPLOAD_LIMIT_BYTES = 64 * 1024 * 1024;
/** The guard's module lives here. */
export const RESERVED_PREFIX = "operator-local/";

export type ModuleType = "esm" | "cjs" | "text" | "data" | "json" | "wasm" | "sourcemap";
export interface ScriptModule {
  readonly name: string;
  readonly type: ModuleType;
  readonly contents: Uint8Array<ArrayBuffer>;
}
export interface Upload {
  readonly metadata: Metadata;
  readonly modules: readonly ScriptModule[];
}

const MODULE_TYPES: Readonly<Record<string, ModuleType>> = {
  "application/javascript+module": "esm",
  "text/javascript+module": "esm",
  "application/javascript": "cjs",
  "text/javascript": "cjs",
  "application/json": "json",
  "application/wasm": "wasm",
  "text/plain": "text",
  "application/octet-stream": "data",
  "application/source-map": "sourcemap",
};

/** Reads an upload's form. @throws PlatformFailure `upload_invalid` with what is wrong with it */
export async function readUpload(request: Request): Promise<Upload> {
  const form = await readForm(request);
  const metadata = parse(Metadata, await metadataOf(form));
  const modules: ScriptModule[] = [];
  for (const [field, part] of form) {
    if (typeof part === "string" || field === "metadata") continue;
    modules.push(await readModule(field, part));
  }
  if (new Set(modules.map(({ name }) => name)).size < modules.length) invalid("two modules have one name");
  const main = modules.find(({ name }) => name === metadata.main_module);
  if (!main) invalid(`main_module "${metadata.main_module}" is not among the uploaded modules`);
  if (main.type !== "esm") invalid("main_module must be an ES module (application/javascript+module)");
  return { metadata, modules };
}

/** Parses with a zod schema. @throws PlatformFailure `upload_invalid` */
export function parse<T>(schema: z.ZodType<T>, value: unknown): T {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  return invalid(`${issue?.path.join(".") || "body"}: ${issue?.message ?? "not valid"}`);
}

export async function readForm(request: Request): Promise<FormData> {
  if (!request.headers.get("content-type")?.startsWith("multipart/form-data"))
    // The SDK names another type unless it is told not to, and Cloudflare then takes the form for a script.
    return invalid(
      `the body is not multipart/form-data (with the cloudflare SDK: { headers: { "Content-Type": null } })`,
    );
  try {
    return await request.formData();
  } catch (error) {
    return invalid(`the body is not multipart/form-data: ${error instanceof Error ? error.message : String(error)}`);
  }
}

/** The `metadata` part: JSON, as the API's documentation has it, or the SDK's bracketed fields. */
export async function metadataOf(form: FormData, part = "metadata"): Promise<unknown> {
  const value = form.get(part);
  if (value === null) {
    const strings = [...form].filter((entry): entry is [string, string] => typeof entry[1] === "string");
    return readBracketForm(strings, part) ?? invalid(`the form has no part "${part}"`);
  }
  try {
    return JSON.parse(typeof value === "string" ? value : await value.text());
  } catch (error) {
    return invalid(`${part} is not JSON: ${error instanceof Error ? error.message : String(error)}`);
  }
}

async function readModule(field: string, file: File): Promise<ScriptModule> {
  // A module is known by its file name; the part's own name is that of a list in the SDK's form.
  const name = file.name && file.name !== "blob" ? file.name : field;
  const type = MODULE_TYPES[file.type.split(";")[0]?.trim() ?? ""];
  if (!type) return invalid(`module "${name}" has the unknown content type "${file.type}"`);
  const path = name.split("/");
  if (name.startsWith("/") || name.startsWith(RESERVED_PREFIX) || path.includes("..") || path.includes(""))
    return invalid(`module "${name}" has a name that cannot be used`);
  return { name, type, contents: new Uint8Array(await file.arrayBuffer()) };
}

function invalid(message: string): never {
  return fail({ code: "upload_invalid", message });
}
