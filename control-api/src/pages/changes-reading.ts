import { isRecord } from "#protocol/json.ts";

/** Files on one page: as many as `codez serve` lists. A hostile machine may send any number. */
const MAX_FILES = 300;

/** Characters of one diff. `codez serve` sends 16 KB of each, and 256 KB of one that is asked for alone. */
const MAX_DIFF_CHARACTERS = 260_000;

const STATUSES = [
  "added",
  "modified",
  "deleted",
  "renamed",
  "copied",
  "type_changed",
  "conflict",
  "untracked",
] as const;

/** What happened to a file, as `get_changes` names it. */
type FileStatus = (typeof STATUSES)[number];

/** A file that changed, as far as it can be shown. Everything in it is the machine's word. */
export type FileChange = {
  readonly path: string;
  readonly oldPath: string | null;
  readonly status: FileStatus;
  readonly additions: number | null;
  readonly deletions: number | null;
  readonly mode: string | null;
  readonly isBinary: boolean;
  readonly diff: string | null;
  readonly cutBytes: number;
};

export type ChangesReading = {
  /** `null`: the session works outside any git repository. */
  readonly repository: string | null;
  readonly sinceMs: number | null;
  readonly commits: number;
  readonly files: readonly FileChange[];
  readonly total: number;
  readonly isTotalCut: boolean;
};

/** Reads a machine's answer to `get_changes`. `null` if it is none. */
export function changesIn(told: Record<string, unknown>): ChangesReading | null {
  const { repository, files, total, since_ms: sinceMs, commits } = told;
  if (!Array.isArray(files)) return null;
  const shown = (files as unknown[]).slice(0, MAX_FILES).flatMap(fileIn);
  return {
    repository: typeof repository === "string" ? repository : null,
    sinceMs: countIn(sinceMs),
    commits: countIn(commits) ?? 0,
    files: shown,
    total: Math.max(countIn(total) ?? 0, files.length),
    isTotalCut: told["total_is_minimum"] === true,
  };
}

function fileIn(told: unknown): FileChange[] {
  if (!isRecord(told) || typeof told["path"] !== "string" || told["path"] === "") return [];
  const { path, old_path: oldPath, mode, diff } = told;
  const whole = typeof diff === "string" && diff !== "" ? diff : null;
  const shown = whole?.slice(0, MAX_DIFF_CHARACTERS) ?? null;
  return [
    {
      path,
      oldPath: typeof oldPath === "string" ? oldPath : null,
      status: STATUSES.find((one) => one === told["status"]) ?? "modified",
      additions: countIn(told["additions"]),
      deletions: countIn(told["deletions"]),
      mode: typeof mode === "string" ? mode.slice(0, 40) : null,
      isBinary: told["binary"] === true,
      diff: shown,
      cutBytes: (countIn(told["diff_cut_bytes"]) ?? 0) + (whole?.length ?? 0) - (shown?.length ?? 0),
    },
  ];
}

function countIn(value: unknown): number | null {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0 ? value : null;
}
