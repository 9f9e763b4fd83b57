import { appendFileSync, renameSync, rmSync, writeFileSync } from "node:fs";

/** What a spool does to its file. Each may throw, and a failed `append` may have written a part. */
export interface SpoolFile {
  append(text: string): void;
  /** Replaces the content in one step: a reader, or a kill at any moment, sees the old or the new. */
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
        rmSync(fresh, { force: true }); // on a full disk the half of it would only take more room
        throw reason;
      }
    },
  };
}
