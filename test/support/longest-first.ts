import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { BaseSequencer, type TestSpecification } from "vitest/node";

const TESTS = fileURLToPath(new URL("../", import.meta.url));

/**
 * Files that take longer than 25 s, the longest first, and of the smallest files, which would come last, one that takes 14 s. A file runs in
 * one worker: one of these at the end of its project keeps a single worker busy while the others have nothing left to do.
 */
const LONGEST = [
  "end-to-end/sign-in-codez.test.ts",
  "end-to-end/chaos.test.ts",
  "attacks/end-to-end/copied-profile.test.ts",
  "end-to-end/hosted-servers.test.ts",
  "end-to-end/conformance.test.ts",
  "end-to-end/codez.test.ts",
  "end-to-end/rollout.test.ts",
  "end-to-end/second-computer.test.ts",
  "end-to-end/load.test.ts",
  "scripts/codez/commands/commands.test.ts",
  "scripts/serve/permissions.test.ts",
  "scripts/operator/upgrade.test.ts",
  "scripts/local/start.test.ts",
  "scripts/serve/lifecycle.test.ts",
  "scripts/deploy/wrangler.test.ts",
  "scripts/build/operator.test.ts",
  "attacks/scripts/permission-shown.test.ts",
  "scripts/serve/turns.test.ts",
  "scripts/serve/hooks.test.ts",
  "scripts/codez/commands/up.test.ts",
  "scripts/codez/commands/service-run.test.ts",
  "scripts/serve/conformance.test.ts",
].map((path) => `${TESTS}${path}`);

/**
 * Vitest begins with the files that took longest in an earlier run, and with the largest where there was none, as in a fresh checkout. But the
 * largest are not the longest: chaos.test.ts has 23 lines and takes a minute.
 *
 * One project comes after the other. Vitest ends a process when the next file is of another project, and what it had loaded is loaded again.
 */
export class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const missing = LONGEST.filter((path) => !existsSync(path));
    if (missing.length > 0)
      throw new Error(`test/support/longest-first.ts names files that do not exist: ${missing.join(", ")}`);
    const rank = ({ moduleId }: TestSpecification): number => {
      const place = LONGEST.indexOf(moduleId);
      return place === -1 ? LONGEST.length : place;
    };
    const sorted = await super.sort(files); // by group, then by project
    const projects = new Set(sorted.map(({ project }) => project));
    return [...projects].flatMap((one) =>
      sorted.filter(({ project }) => project === one).toSorted((left, right) => rank(left) - rank(right)),
    ); // a stable sort
  }
}
