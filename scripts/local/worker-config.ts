import { readFile } from "node:fs/promises";
import * as z from "zod";
import { parseJsonc } from "./jsonc.ts";

/** The fields of a Worker's wrangler.jsonc that a local start uses or knowingly ignores. */
export const WorkerConfig = z.strictObject({
  name: z.string(),
  main: z.string(),
  compatibility_date: z.string(),
  compatibility_flags: z.array(z.string()).default([]),
  vars: z.record(z.string(), z.json()).default({}),
  services: z
    .array(z.object({ binding: z.string(), service: z.string(), entrypoint: z.string().optional() }))
    .default([]),
  durable_objects: z
    .object({
      bindings: z.array(z.object({ name: z.string(), class_name: z.string(), script_name: z.string().optional() })),
    })
    .default({ bindings: [] }),
  migrations: z
    .array(
      z.object({
        tag: z.string(),
        new_sqlite_classes: z.array(z.string()).default([]),
        new_classes: z.array(z.string()).default([]),
      }),
    )
    .default([]),
  dispatch_namespaces: z.array(z.object({ binding: z.string(), namespace: z.string() })).default([]),
  rules: z
    .array(z.object({ type: z.string(), globs: z.array(z.string()), fallthrough: z.boolean().optional() }))
    .default([]),
  // Fields without effect in a local start.
  $schema: z.unknown().optional(),
  observability: z.unknown().optional(),
  routes: z.unknown().optional(),
  route: z.unknown().optional(),
  workers_dev: z.unknown().optional(),
  preview_urls: z.unknown().optional(),
  placement: z.unknown().optional(),
  limits: z.unknown().optional(),
  logpush: z.unknown().optional(),
  upload_source_maps: z.unknown().optional(),
  minify: z.unknown().optional(),
  dev: z.unknown().optional(),
  env: z.unknown().optional(),
});
export type WorkerConfig = z.infer<typeof WorkerConfig>;

/** Reads a Worker's configuration. @throws Error when it contains a field that a local start does not support */
export async function readWorkerConfig(path: string): Promise<WorkerConfig> {
  const parsed = WorkerConfig.safeParse(parseJsonc(await readFile(path, "utf8")));
  if (parsed.success) return parsed.data;
  throw new Error(`${path}: ${z.prettifyError(parsed.error)}`);
}
