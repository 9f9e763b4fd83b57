import { stat } from "node:fs/promises";
import { freeSpaceOf, type FreeSpace } from "../../system/free-space.ts";
import { isMissing } from "../../system/is-missing.ts";
import { filesBelow } from "../files-below.ts";
import type { Report } from "../workerd/supervisor.ts";
import type { UserScript } from "./user-script.ts";

/**
 * What hosted servers leave of the disk to the programs that everybody shares. workerd limits what a script stores nowhere, and one wrote 75 MB a
 * second: between two looks that is a small part of this.
 */
const RESERVE_BYTES = 1024 ** 3;
const LOOK_MS = 1_000;

/**
 * The same in files. ext4 has room for one for each 16 KB of the disk. An object that stores one value is a file of 8 KB, so a server with many
 * uses up the files first. One made 250 objects a second, with three files each while it uses them.
 */
const RESERVE_FILES = 20_000;

/** A script that has stored less may run nevertheless: most store nothing. A person has a hundred at most. */
const SMALL_BYTES = 1024 ** 2;

export type DiskOptions = {
  /** Where the scripts are stored. */
  readonly folder: string;
  /** Those that others than Operator have written. */
  readonly scripts: () => readonly UserScript[];
  readonly report: Report;
  readonly lookMs?: number;
  readonly freeSpace?: () => Promise<FreeSpace>;
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
    this.#options = { lookMs: LOOK_MS, freeSpace: () => freeSpaceOf(options.folder), ...options };
    this.#timer = setInterval(() => {
      this.#looking ??= this.#look()
        .catch((error: unknown) => options.report(`the free space for hosted servers: ${String(error)}`))
        .finally(() => (this.#looking = null));
    }, this.#options.lookMs);
    this.#timer.unref();
  }

  /** Whether this script must not run now. */
  async holds(script: UserScript): Promise<boolean> {
    return this.#isLow && (await storesMoreThan(SMALL_BYTES, script.folder.storage));
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer);
    await this.#looking;
  }

  async #look(): Promise<void> {
    const { report, scripts, freeSpace, folder } = this.#options;
    const { bytes, files } = await freeSpace();
    const isLow = bytes < RESERVE_BYTES || files < RESERVE_FILES;
    if (isLow !== this.#isLow)
      report(
        isLow
          ? `less than ${RESERVE_BYTES / 1024 ** 2} MB, or room for ${RESERVE_FILES} files, are free on the disk of ${folder}: hosted servers that store something do not run until there is more`
          : `hosted servers run again: the disk of ${folder} has space`,
      );
    this.#isLow = isLow;
    if (!isLow) return;
    for (const script of scripts()) if (script.pid !== null && (await this.holds(script))) await script.halt();
  }
}

/** Each file takes a block of the disk. */
const BLOCK_BYTES = 4_096;

/** Looks at no more files than it takes to know. */
async function storesMoreThan(bytes: number, folder: string): Promise<boolean> {
  let sum = 0;
  for await (const path of filesBelow(folder)) {
    sum += Math.max(BLOCK_BYTES, await sizeOf(path));
    if (sum > bytes) return true;
  }
  return false;
}

async function sizeOf(path: string): Promise<number> {
  try {
    return (await stat(path)).size;
  } catch (error) {
    if (isMissing(error)) return 0; // SQLite removes its own files
    throw error;
  }
}
