import { gzipSync } from "node:zlib";
import * as z from "zod";
import { fail } from "./error.ts";
import { Metadata } from "./metadata.ts";

/** The largest upload that is read at all: Cloudflare's limit on a script before compression is 64 MB (Workers, "Limits"). */
export const UPLOAD_LIMIT_BYTES = 64 * 1024 * 1024;
/** Cloudflare's limit on a script after compression, on the paid plan. Same page. */
const COMPRESSED_LIMIT_BYTES = 10 * 1024 * 1024;
/** Module names with this prefix are reserved for the guard and the entry module that imports it. */
export const RESERVED_PREFIX = "operator-local/";

export type ModuleType = "esm" | "cjs" | "text" | "data" | "json" | "wasm" | "sourcemap";
export interface ScriptModule {
  readonly name: string;
  readonly type: ModuleType;
  readonly contents: Uint8Array<ArrayBuffer>;
}
export interface Upload<Described = Metadata> {
  readonly metadata: Described;
  readonly modules: readonly ScriptModule[];
}

type MainModule = Pick<Metadata, "main_module">;

/** How workerd must load a module, by the content type of its form field. The types are those that Wrangler sends. */
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

/**
 * Reads an upload: a multipart form with a `metadata` field of JSON and one file for each module. A module's name is the
 * name of its form field, and imports refer to it by that name; its file name is ignored. Cloudflare does the same.
 * @throws PlatformFailure `upload_invalid` with a message that names the problem
 */
export async function readUpload(request: Request): Promise<Upload> {
  return uploadIn(await readForm(request));
}

/**
 * The upload in a form.
 * @param schema of its metadata, where it is not a user script's
 * @throws PlatformFailure `upload_invalid`
 */
export async function uploadIn(form: FormData): Promise<Upload>;
export async function uploadIn<Described extends MainModule>(
  form: FormData,
  schema: z.ZodType<Described>,
): Promise<Upload<Described>>;
export async function uploadIn(form: FormData, schema: z.ZodType<MainModule> = Metadata): Promise<Upload<MainModule>> {
  const metadata = parse(schema, await metadataOf(form));
  const modules: ScriptModule[] = [];
  for (const [field, part] of form) {
    if (field === "metadata") continue;
    if (typeof part === "string")
      invalid(`the form field "${field}" is plain text: send each module as a file with a content type`);
    modules.push(await readModule(field, part));
  }
  checkSize(modules);
  if (new Set(modules.map(({ name }) => name)).size < modules.length) invalid("two modules have the same name");
  const main = modules.find(({ name }) => name === metadata.main_module);
  if (!main) invalid(`main_module "${metadata.main_module}" is not among the uploaded modules`);
  if (main.type !== "esm") invalid("main_module must be an ES module (application/javascript+module)");
  return { metadata, modules };
}

function checkSize(modules: readonly ScriptModule[]): void {
  const bytes = modules.reduce((sum, { contents }) => sum + contents.length, 0);
  // What is small before compression is small afterwards, and compressing takes a second for each 20 MB.
  if (bytes <= COMPRESSED_LIMIT_BYTES) return;
  const compressed = modules.reduce((sum, { contents }) => sum + gzipSync(contents).length, 0);
  if (compressed > COMPRESSED_LIMIT_BYTES) fail({ code: "upload_too_large", limitBytes: COMPRESSED_LIMIT_BYTES });
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
    return invalid("the body is not multipart/form-data");
  try {
    return await request.formData();
  } catch (error) {
    return invalid(`the body is not multipart/form-data: ${error instanceof Error ? error.message : String(error)}`);
  }
}

/** The form field that describes the upload, parsed as JSON. It may be plain text or a file. */
export async function metadataOf(form: FormData, part = "metadata"): Promise<unknown> {
  const value = form.get(part);
  if (value === null) return invalid(`the form has no field "${part}"; send one that contains JSON`);
  try {
    return JSON.parse(typeof value === "string" ? value : await value.text());
  } catch (error) {
    return invalid(`${part} is not JSON: ${error instanceof Error ? error.message : String(error)}`);
  }
}

/** @param name the form field's name. It must be a relative path without `..`, outside of the reserved prefix. */
async function readModule(name: string, file: File): Promise<ScriptModule> {
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
