import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as z from "zod";
import { peerBin } from "../../../peers/bin.ts";
import { run } from "../run.ts";

export type Revision = "2025-11-25" | "2026-07-28";

/** Results of the suite: of each scenario every check, in order, as `<id> <status>`. */
export type Results = Readonly<Record<string, readonly string[]>>;

const Checks = z.array(z.object({ id: z.string(), status: z.string() }));

/** Runs every scenario of the public conformance suite that applies to a server of that revision. */
export async function runSuite(url: URL, revision: Revision): Promise<Results> {
  const folder = await mkdtemp(join(tmpdir(), "operator-conformance-"));
  try {
    const suite = [peerBin("conformance"), "server", "--url", url.href, "--suite", "all", "--spec-version", revision];
    const { stdout, stderr } = await run(process.execPath, [...suite, "-o", folder]);
    const results: Record<string, string[]> = {};
    for (const entry of await readdir(folder)) {
      const scenario = /^server-(.*)-\d{4}-\d\d-\d\dT/.exec(entry)?.[1];
      if (scenario === undefined) continue;
      const checks = Checks.parse(JSON.parse(await readFile(join(folder, entry, "checks.json"), "utf8")));
      // INFO entries only report events as they arrived and check nothing.
      results[scenario] = checks.filter(({ status }) => status !== "INFO").map(({ id, status }) => `${id} ${status}`);
    }
    if (Object.keys(results).length === 0) throw new Error(`the suite said nothing: ${stdout}${stderr}`);
    return results;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Scenarios with a check that failed. */
export function failed(results: Results): string[] {
  return Object.keys(results)
    .filter((scenario) => results[scenario]?.some((check) => check.endsWith(" FAILURE")))
    .toSorted();
}
