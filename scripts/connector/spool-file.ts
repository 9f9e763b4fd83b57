import { appendFileSync, renameSync, rmSync, writeFileSync } from "node:fs";

/** The operations on a spool's file. Each may throw, and a failed `append` may have written a part. */
export interface SpoolFile {
  append(text: string): void;
  /** Replaces the content atomically: a reader, also after a kill at any moment, sees either the old or the new content. */
  replace(text: string): void;
}

export function spoolFileAt(path: string): SpoolFile {
  return {
    append: (text) => appendFileSync(path, text, { mode: 0o600 }),
    replace: (text) => {
      const fresh = `${path}.new`;
      try {
        writeFileSync(fresh, text, { mode: 0o600 });
        renameSync(fresh, path);
      } catch (reason) {
        rmSync(fresh, { force: true }); // an incomplete file would only take up space on a full disk
        throw reason;
      }
    },
  };
}
