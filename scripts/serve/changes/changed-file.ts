/** What happened to a file. `conflict`: a merge left it undecided, and there is nothing in the folder to compare with. */
export type FileStatus =
  | "added"
  | "modified"
  | "deleted"
  | "renamed"
  | "copied"
  | "type_changed"
  | "conflict"
  | "untracked";

/** A file that changed, as git lists it. */
export interface ChangedFile {
  readonly path: string;
  /** The former name of a file that was renamed or copied. */
  readonly oldPath: string | null;
  readonly status: FileStatus;
  /** File modes as git writes them, such as `100755`; `000000` where there is no file. */
  readonly modes: readonly [before: string, after: string];
  /** Lines; `null` if git did not count them. */
  readonly additions: number | null;
  readonly deletions: number | null;
  readonly isBinary: boolean;
  /** Sections that this file has in a patch. A file that became a link is deleted and made again. */
  readonly sections: number;
}

type Listed = Omit<ChangedFile, "additions" | "deletions" | "isBinary">;

const STATUS: Readonly<Record<string, FileStatus>> = {
  A: "added",
  M: "modified",
  D: "deleted",
  R: "renamed",
  C: "copied",
  T: "type_changed",
  U: "conflict",
};

const ENTRY = /^:(\d{6}) (\d{6}) \S+ \S+ ([A-Z])\d*$/;
const COUNT = /^(\d+|-)\t(\d+|-)\t(.*)$/s;

/**
 * Reads what `git diff --raw --numstat -z` printed: an entry for each file, then the counts in the same order. Names are separated by
 * NUL, so a name with a line break or a quote is only a name.
 */
export function changedFilesIn(output: string): ChangedFile[] {
  const fields = output.split("\0");
  const listed: Listed[] = [];
  const counts = new Map<string, readonly [string, string]>();
  for (let at = 0; at < fields.length;) {
    const entry = ENTRY.exec(fields[at] ?? "");
    const count = COUNT.exec(fields[at] ?? "");
    const [first = "", second = ""] = fields.slice(at + 1, at + 3);
    if (entry !== null) {
      const [, before = "", after = "", letter = ""] = entry;
      const isPair = letter === "R" || letter === "C";
      const sections = letter === "U" ? 0 : letter === "T" ? 2 : 1;
      const names = isPair ? { path: second, oldPath: first } : { path: first, oldPath: null };
      listed.push({ ...names, status: STATUS[letter] ?? "modified", modes: [before, after], sections });
      at += isPair ? 3 : 2;
    } else if (count !== null) {
      const [, added = "", deleted = "", path = ""] = count;
      counts.set(path === "" ? second : path, [added, deleted]);
      at += path === "" ? 3 : 1;
    } else at += 1;
  }
  return listed.map((file) => {
    const [added, deleted] = counts.get(file.path) ?? [null, null];
    return { ...file, additions: lines(added), deletions: lines(deleted), isBinary: added === "-" };
  });
}

function lines(count: string | null): number | null {
  return count === null || count === "-" ? null : Number(count);
}
