import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { writePrivately } from "../../system/atomic-file.ts";
import { codezHome } from "../../system/home.ts";

/** Characters of the hash in the file's name. */
const HASH_CHARACTERS = 16;

/** The longest cursor that is read: a file that something else has written is not sent to Operator. */
const MAX_CURSOR_CHARACTERS = 128 * 1024;

/**
 * The file with the position of a watcher. Each combination of Operator and filters has its own, so that two watchers with different
 * filters do not skip each other's events. Only its owner may read it.
 */
export class WatchCursor {
  readonly #path: string;

  /** @param path the file, if the person named one */
  constructor(hub: string, query: string, path: string | undefined) {
    const name = createHash("sha256").update(`${hub}\n${query}`).digest("hex").slice(0, HASH_CHARACTERS);
    this.#path = path ?? join(codezHome(), "watch", `${name}.cursor`);
  }

  /** The position after the last event that was handled; `null` at the first start. */
  read(): string | null {
    try {
      const text = readFileSync(this.#path, "utf8").trim();
      return /^[\w.=+/-]+$/.test(text) && text.length <= MAX_CURSOR_CHARACTERS ? text : null;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "ENOENT") return null;
      throw error;
    }
  }

  write(cursor: string): void {
    writePrivately(this.#path, `${cursor}\n`);
  }
}
