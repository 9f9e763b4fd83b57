import { existsSync } from "node:fs";
import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import type { Report } from "../workerd/supervisor.ts";
import { freeBytesOf } from "../../system/free-bytes.ts";
import { isMissing } from "../../system/is-missing.ts";
import type { UserScript } from "./user-script.ts";

/**
 * What hosted servers leave of the disk to the programs that everybody shares. workerd limits what a script stores nowhere, and one wrote 75 MB a
 * second: between two looks that is a small part of this.
 */
const RESERVE_BYTES = 1024 ** 3;
const LOOK_MS = 1_000;

/** A script that has stored less may run nevertheless: most store nothing. A person has a hundred at most. */
const SMALL_BYTES = 1024 ** 2;

export type DiskOptions = {
  /** Where the scripts are stored. */
  readonly folder: string;
  /** Those that others than Operator have written. */
  readonly scripts: () => readonly UserScript[];
  readonly report: Report;
  readonly lookMs?: number;
  readonly freeBytes?: () => Promise<number>;
};

/**
 * Ends hosted servers that store something while the disk is nearly full, and starts none of them until there is space. Otherwise one of them could
 * fill it, and then nobody's machines, sign-ins or events could be stored. Machines' own scripts are not meant, whose logs are bounded.
 */
export class DiskReserve {
  readonly #options: Required<DiskOptions>;
  readonly #timer: NodeJS.Timeout;
  #isLow = false;
  #looking: Promise<void> | null = null;

  constructor(options: DiskOptions) {
    this.#options = { lookMs: LOOK_MS, freeBytes: () => freeBytesOf(options.folder), ...options };
    this.#timer = setInterval(() => {
      this.#looking ??= this.#look()
        .catch((error: unknown) => options.report(`the free space for hosted servers: ${String(error)}`))
        .finally(() => (this.#looking = null));
    }, this.#options.lookMs);
    this.#timer.unref();
  }

  /** Whether this script must not run now. */
  async holds(script: UserScript): Promise<boolean> {
    return this.#isLow && (await bytesIn(script.folder.storage)) > SMALL_BYTES;
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer);
    await this.#looking;
  }

  async #look(): Promise<void> {
    const { report, scripts, freeBytes, folder } = this.#options;
    const isLow = (await freeBytes()) < RESERVE_BYTES;
    if (isLow !== this.#isLow)
      report(
        isLow
          ? `less than ${RESERVE_BYTES / 1024 ** 2} MB are free on the disk of ${folder}: hosted servers that store something do not run until there is more`
          : `hosted servers run again: the disk of ${folder} has space`,
      );
    this.#isLow = isLow;
    if (!isLow) return;
    for (const script of scripts()) if (script.pid !== null && (await this.holds(script))) await script.halt();
  }
}

async function bytesIn(folder: string): Promise<number> {
  if (!existsSync(folder)) return 0;
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const sizes = entries
    .filter((entry) => entry.isFile())
    .map(async (entry) => {
      try {
        return (await stat(join(entry.parentPath, entry.name))).size;
      } catch (error) {
        if (isMissing(error)) return 0; // SQLite removes its own files
        throw error;
      }
    });
  return (await Promise.all(sizes)).reduce((sum, size) => sum + size, 0);
}
