import { execFile } from "node:child_process";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { parseJson } from "#protocol/json.ts";
import * as z from "zod/mini";
import { Advisory, concerns } from "./advisory.ts";
import { type Package, packagesOf } from "./lock-file.ts";

const REPOSITORY = fileURLToPath(new URL("../..", import.meta.url));

/** Exit codes: nothing known, known vulnerabilities, and nothing was checked. The last must never look like the first. */
const Exit = { CLEAN: 0, AFFECTED: 1, NOT_CHECKED: 2 } as const;

/** npm asks its registry one question; a slower answer counts as none. */
const TIMEOUT_MS = 60_000;

const NpmReport = z.object({
  vulnerabilities: z.record(z.string(), z.object({ name: z.string(), severity: z.string(), range: z.string() })),
});

/**
 * `npm run audit`: the packages of `package-lock.json` against known vulnerabilities. With `--database <folder>` it needs no network:
 * the folder has OSV's advisories for npm, a JSON file each. Otherwise `npm audit` asks the registry. It finds only what somebody
 * reported; it does not find malicious or unmaintained packages, nor whether the vulnerable code is reached.
 */
async function main(args: string[]): Promise<number> {
  const { values } = parseArgs({ args, options: { database: { type: "string" } } });
  return values.database === undefined
    ? askRegistry()
    : lookUp(values.database, await packagesOf(`${REPOSITORY}package-lock.json`));
}

/** Compares packages with a folder of advisories, prints what concerns them, and returns the exit code. */
export async function lookUp(folder: string, packages: readonly Package[]): Promise<number> {
  const files = (await readdir(folder)).filter((file) => file.endsWith(".json"));
  let read = 0;
  let found = 0;
  for (const file of files) {
    const advisory = Advisory.safeParse(parseJson(await readFile(join(folder, file), "utf8")));
    if (!advisory.success) continue;
    read += 1;
    for (const one of packages) {
      if (!concerns(advisory.data, one)) continue;
      found += 1;
      console.log(
        `${advisory.data.id}  ${one.name} ${one.version}${one.isDev ? " (build and test only)" : ""}  ${advisory.data.summary ?? ""}`,
      );
    }
  }
  if (read === 0) {
    console.error(`NOT CHECKED: ${folder} has no OSV advisories (JSON files of https://osv.dev's npm export).`);
    return Exit.NOT_CHECKED;
  }
  console.log(
    `${packages.length} packages, ${read} advisories: ${found === 0 ? "none of them concerned" : `${found} findings`}.`,
  );
  if (read < files.length) console.log(`${files.length - read} files are not advisories and were not read.`);
  return found === 0 ? Exit.CLEAN : Exit.AFFECTED;
}

async function askRegistry(): Promise<number> {
  const text = await new Promise<string>((resolve) => {
    execFile(
      "npm",
      ["audit", "--json", "--package-lock-only"],
      { cwd: REPOSITORY, timeout: TIMEOUT_MS, maxBuffer: 64 * 1024 * 1024 },
      (_, stdout) => resolve(stdout), // npm exits with 1 both for findings and for a registry without advisories
    );
  });
  const report = NpmReport.safeParse(parseJson(text));
  if (!report.success) {
    console.error(
      "NOT CHECKED: the npm registry did not answer with advisories. This says nothing about the packages.",
    );
    console.error("Without a network: npm run audit -- --database <folder with OSV's advisories for npm>");
    return Exit.NOT_CHECKED;
  }
  const found = Object.values(report.data.vulnerabilities);
  for (const { name, severity, range } of found) console.log(`${severity}  ${name} ${range}`);
  console.log(
    found.length === 0 ? "No known vulnerabilities." : `${found.length} packages with known vulnerabilities.`,
  );
  return found.length === 0 ? Exit.CLEAN : Exit.AFFECTED;
}

if (import.meta.main) process.exitCode = await main(process.argv.slice(2));
