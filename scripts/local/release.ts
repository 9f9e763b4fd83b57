import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import * as z from "zod";
import { parseJson } from "#protocol/json.ts";
import { backUp } from "./backup/backup.ts";
import { finishRestore, putInPlace } from "./backup/restore.ts";
import { writeFileAtomically } from "./file.ts";
import { PROGRAM } from "./program.ts";
import type { Report } from "./workerd/supervisor.ts";

/** Says which release used the state folder last. Releases before 0.3 wrote none. */
const MARK = "release.json";
const Mark = z.object({
  version: z.optional(z.string()),
  /** The release whose first start has begun, and has not ended yet. Its backup is of now. */
  upgrading: z.optional(z.string()),
});

const Manifest = z.object({ version: z.string() });

const BACKUPS = "backups";

const PREFIX = "before-";
/** Until the backup has taken the place of one of the same name. */
const FRESH_SUFFIX = ".new";

/** A backup that did not take its place. Releases up to 0.5.0 wrote its content beside it. */
const DRAFT_OF_BACKUP = /^before-.+\.new(?:\.[0-9a-f-]{36}\.tmp)?$/;

/** The last upgrade's backup and the one before: enough to go back twice, and the disk does not fill up over the years. */
const KEPT_BACKUPS = 2;

/** A start that may change what an earlier release wrote. */
export type Upgrade = {
  /** The release started: what it made of the state stays. */
  keep(): Promise<void>;
  /** If it was not kept: writes the state back as the earlier release left it. */
  undo(): void;
};

export function isDraftOfBackup(name: string): boolean {
  return DRAFT_OF_BACKUP.test(name);
}

/** The version of this release: of the program that runs, wherever the sources of its Workers are. */
export function ownVersion(): string {
  const manifest = readFileSync(join(PROGRAM, "package.json"), "utf8");
  return Manifest.parse(JSON.parse(manifest)).version;
}

/**
 * Prepares the first start of a release with a state folder that another release wrote: all of it is backed up first, within
 * the folder itself (a container has no other place). If that start fails, nothing of it remains. Later starts cost one read.
 * @throws Error when the backup cannot be written; the state is then as it was
 */
export async function beginUpgrade(folder: string, version: string, report: Report): Promise<Upgrade> {
  finishRestore(folder);
  const mark = join(folder, MARK);
  const { version: before, upgrading } = markIn(mark);
  const write = async (said: z.infer<typeof Mark>): Promise<void> => {
    await writeFileAtomically(mark, `${JSON.stringify(said)}\n`).catch((error: unknown) => {
      // A full disk. Operator runs; its next start takes the backup again.
      report(`${mark} cannot be written: ${error instanceof Error ? error.message : String(error)}`);
    });
  };
  const keep = async (): Promise<void> => {
    // Also when the first start of another release was killed, and this one goes on: that one's backup gets old.
    if (before !== version || upgrading !== undefined) await write({ version });
  };
  const isNew = !existsSync(join(folder, "secrets.json"));
  // Not only if it succeeds: after a first start that failed, the folder would pass for one that an earlier release wrote.
  if (isNew) await write({ version });
  if (isNew || before === version) return { keep, undo: () => undefined };

  const backup = join(folder, BACKUPS, `${PREFIX}${version}`);
  // A start that was killed in the middle left its backup. It has the earlier state, which this folder may no longer have. Any other backup of
  // this name is of an earlier upgrade: people and tokens that were removed since would have access again.
  if (upgrading !== version || !existsSync(backup)) {
    mkdirSync(join(folder, BACKUPS), { recursive: true, mode: 0o700 });
    const fresh = `${backup}${FRESH_SUFFIX}`;
    rmSync(fresh, { force: true });
    await backUp(folder, fresh);
    renameSync(fresh, backup);
    await write({ ...(before === undefined ? {} : { version: before }), upgrading: version });
    report(`${folder} was written by ${before ?? "an earlier release"}; it is backed up in ${backup}`);
  }
  let wasKept = false;
  return {
    keep: async () => {
      wasKept = true;
      await keep();
      prune(join(folder, BACKUPS));
    },
    undo: () => {
      if (wasKept) return;
      putInPlace(backup, folder);
      report(
        `${folder} is again as ${before ?? "the earlier release"} left it: start that release, and report what failed here`,
      );
    },
  };
}

function markIn(path: string): z.infer<typeof Mark> {
  return (existsSync(path) ? Mark.safeParse(parseJson(readFileSync(path, "utf8"))).data : undefined) ?? {};
}

function prune(folder: string): void {
  const paths = readdirSync(folder)
    .filter((name) => name.startsWith(PREFIX))
    .map((name) => join(folder, name));
  const newestFirst = paths.toSorted((one, other) => statSync(other).mtimeMs - statSync(one).mtimeMs);
  for (const path of newestFirst.slice(KEPT_BACKUPS)) rmSync(path, { force: true });
}
