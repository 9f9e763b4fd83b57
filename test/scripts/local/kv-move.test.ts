import { existsSync } from "node:fs";
import { join } from "node:path";
import { convertV4MiniflareOptions, Miniflare } from "miniflare";
import { expect, onTestFinished, test } from "vitest";
import { startOperator } from "../../../scripts/local/operator.ts";
import { sharedStandIn } from "./support/stand-in.ts";

const { root, newState } = await sharedStandIn();

/** A day from now, in seconds since 1970: KV takes whole seconds. */
const TOMORROW = Math.floor(Date.now() / 1000) + 86_400;

type Entry = { name: string; value: string; expiration?: number; metadata?: unknown };

/** A KV namespace as release 0.1 left it, which ran in Miniflare. */
async function writeKv(stateDir: string, entries: readonly Entry[]): Promise<string> {
  const persisted = join(stateDir, "control");
  const worker = convertV4MiniflareOptions({
    modules: true,
    script: "export default {}",
    kvNamespaces: { OAUTH_KV: "OAUTH_KV" },
    cf: false,
  });
  const miniflare = new Miniflare({ ...worker, resourcePersistencePath: persisted });
  const kv = await miniflare.getKVNamespace("OAUTH_KV");
  for (const { name, value, ...options } of entries) await kv.put(name, value, options);
  await miniflare.dispose();
  return join(persisted, "kv");
}

test("data that release 0.1 kept in KV is moved once, at the first start, and the namespace is deleted", async () => {
  const stateDir = await newState();
  const entries: Entry[] = [
    { name: "client:robot", value: `{"clientName":"Robot"}` },
    { name: "grant:owner:1", value: "{}", metadata: { client: "Robot" } },
    { name: "token:owner:1:2", value: "{}", expiration: TOMORROW },
    // More than one page of them.
    ...Array.from({ length: 150 }, (_, index) => ({ name: `token:owner:many:${1_000 + index}`, value: String(index) })),
  ];
  const folder = await writeKv(stateDir, entries);
  const reports: string[] = [];
  for (const round of [1, 2]) {
    const operator = await startOperator({ port: 0, stateDir, root, report: (line) => reports.push(line) });
    onTestFinished(() => operator.stop());
    expect([round, await (await fetch(`${operator.url}/imported`)).json()]).toEqual([round, entries]);
    expect(existsSync(folder)).toBe(false);
    await operator.stop();
  }
  expect(reports.filter((line) => line.includes("Moved 153 entries"))).toHaveLength(1);
});

test("a failed move keeps the data, and says where it is and what to do", async () => {
  const stateDir = await newState();
  const folder = await writeKv(stateDir, [{ name: "client:robot", value: "refuse me" }]);
  await expect(startOperator({ port: 0, stateDir, root, quiet: true })).rejects.toThrow(
    /kept in .*\/control\/kv could not be moved: Error: HTTP 502: refused\nPut back a copy/,
  );
  expect(existsSync(folder)).toBe(true);
});
