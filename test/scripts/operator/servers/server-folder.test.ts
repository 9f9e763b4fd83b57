import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { bundleServer } from "../../../../scripts/operator/servers/server-folder.ts";

const CONFIG = { name: "notes", main: "index.js", compatibility_date: "2026-08-01" };

test("a folder without a wrangler.jsonc is refused with how to make one", async () => {
  const folder = await mkdtemp(join(tmpdir(), "operator-server-folder-"));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  await expect(bundleServer(folder)).rejects.toThrow(/has no wrangler.jsonc.*npx operator servers new echo <folder>/);
});

test.each([
  [
    "exports",
    { Notes: { type: "durable-object", storage: "sqlite" } },
    /with migrations, not with exports.*new_sqlite_classes/,
  ],
  ["r2_buckets", [{ binding: "B", bucket_name: "b" }], /cannot have r2_buckets.*reach into the account/],
])("a server's wrangler.jsonc with %s is refused with what to do", async (field, value, why) => {
  const folder = await mkdtemp(join(tmpdir(), "operator-server-folder-"));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  await writeFile(join(folder, "wrangler.jsonc"), JSON.stringify({ ...CONFIG, [field]: value }));
  await expect(bundleServer(folder)).rejects.toThrow(why);
});
