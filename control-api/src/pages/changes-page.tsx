import { Ago } from "../design/ago.tsx";
import { Foreign } from "../design/foreign.tsx";
import { Note } from "../design/note.tsx";
import { Empty } from "../design/parts.tsx";
import { sessionPath } from "./address.ts";
import type { ChangesReading, FileChange } from "./changes-reading.ts";
import { UnifiedDiff } from "./conversation/unified-diff.tsx";

/** Diffs that are unfolded when the page opens: as many as fit a few screens. */
const OPEN_FILES = 5;
const OPEN_CHARACTERS = 12_000;

/** Characters of code on the page that have colours. With them the page is some four times as large; the files after that have none until one is opened alone. */
const COLOURED_CHARACTERS = 60_000;

type ChangesProps = {
  readonly machine: string;
  readonly session: string;
  /** The only file that is shown; `null` for all. */
  readonly path: string | null;
  /** Why there is nothing to show, as a sentence. */
  readonly failed: string | null;
  readonly reading: ChangesReading | null;
};

/** What a session changed, by file. */
export function ChangesPage({ machine, session, path, failed, reading }: ChangesProps) {
  const here = `${sessionPath(machine, session)}/changes`;
  return (
    <>
      <a class="back" href={path === null ? sessionPath(machine, session) : here}>
        {path === null ? "‹ Session" : "‹ All changes"}
      </a>
      <div class="head">
        <h1>Changes</h1>
        <a class="button plain small" href={path === null ? here : `${here}?${new URLSearchParams({ path })}`}>
          Look again
        </a>
      </div>
      {failed === null ? null : (
        <Note kind="warn">
          <Foreign text={failed} limit={500} />
        </Note>
      )}
      {reading === null ? null : reading.repository === null ? (
        <Empty title="Not a git repository">
          <p>Changes are shown for sessions that work in one. This session's edits are in its conversation.</p>
        </Empty>
      ) : reading.files.length === 0 ? (
        <Empty title="Nothing changed">
          <p>All files in its repository are as they were when the session began.</p>
        </Empty>
      ) : (
        <Files reading={reading} repository={reading.repository} here={here} isAlone={path !== null} />
      )}
    </>
  );
}

type FilesProps = {
  readonly reading: ChangesReading;
  readonly repository: string;
  readonly here: string;
  readonly isAlone: boolean;
};

function Files({ reading, repository, here, isAlone }: FilesProps) {
  const { files, total, isTotalCut, commits, sinceMs } = reading;
  const sum = (of: "additions" | "deletions"): number => files.reduce((all, file) => all + (file[of] ?? 0), 0);
  let left = COLOURED_CHARACTERS;
  const isColoured = files.map(({ diff }) => (left -= diff?.length ?? 0) >= 0);
  const isOpen = files.length <= OPEN_FILES && files.every(({ diff }) => (diff?.length ?? 0) <= OPEN_CHARACTERS);
  return (
    <>
      <p class="soft">
        {isAlone ? null : (
          <>
            {`${isTotalCut ? "At least " : ""}${total} ${total === 1 ? "file" : "files"}, `}
            <span class="added">{`+${sum("additions")}`}</span>{" "}
            {sum("deletions") === 0 ? null : <span class="removed">{`−${sum("deletions")}`}</span>}
            {commits === 0 ? null : `, ${commits} ${commits === 1 ? "commit" : "commits"}`}
            {" · "}
          </>
        )}
        in <Foreign text={repository} />
        {sinceMs === null ? null : (
          <>
            {" since the session began, "}
            <Ago ms={sinceMs} />
          </>
        )}
      </p>
      {files.map((file, index) => (
        <File
          file={file}
          here={here}
          isOpen={isAlone || isOpen}
          isAlone={isAlone}
          isColoured={isAlone || isColoured[index] === true}
        />
      ))}
      {total > files.length && !isAlone ? (
        <p class="cut">{`… and ${total - files.length} more files, which are not shown`}</p>
      ) : null}
      <p class="soft">What others changed in the same folder is among them. Files that git ignores are not.</p>
    </>
  );
}

type FileProps = {
  readonly file: FileChange;
  readonly here: string;
  readonly isOpen: boolean;
  readonly isAlone: boolean;
  readonly isColoured: boolean;
};

function File({ file, here, isOpen, isAlone, isColoured }: FileProps) {
  const { path, oldPath, status, additions, deletions, mode, diff, cutBytes } = file;
  return (
    <details class="tool change" open={isOpen}>
      <summary>
        <b>
          <Foreign text={path} limit={1_024} />
        </b>
        <span class="counts">
          {status === "modified" ? null : <em class={status === "conflict" ? "failed" : ""}>{WORDS[status]}</em>}
          {additions === null || additions === 0 ? null : <span class="added">{`+${additions}`}</span>}
          {deletions === null || deletions === 0 ? null : <span class="removed">{`−${deletions}`}</span>}
        </span>
      </summary>
      <div>
        {oldPath === null ? null : (
          <p class="label">
            Before: <Foreign text={oldPath} limit={1_024} />
          </p>
        )}
        {mode === null ? null : (
          <p class="label">
            Mode <Foreign text={mode} limit={40} />
          </p>
        )}
        {diff === null ? (
          <p class="label">{nothingOf(file)}</p>
        ) : (
          <UnifiedDiff text={diff} path={path} isColoured={isColoured} />
        )}
        {cutBytes > 0 ? (
          <p class="label">
            {`… ${diff === null ? "" : "and "}${cutBytes} more bytes. `}
            {isAlone ? (
              "The rest is on the machine."
            ) : (
              <a href={`${here}?${new URLSearchParams({ path: path.toWellFormed() })}`}>
                {diff === null ? "Show them" : "Show more of it"}
              </a>
            )}
          </p>
        ) : null}
      </div>
    </details>
  );
}

const WORDS = {
  added: "new",
  modified: "changed",
  deleted: "deleted",
  renamed: "renamed",
  copied: "copied",
  type_changed: "another kind of file",
  conflict: "conflict",
  untracked: "new",
} as const;

function nothingOf({ isBinary, status, mode, cutBytes, additions }: FileChange): string {
  if (isBinary) return "A binary file.";
  if (cutBytes > 0) return "Too large to be shown with the others.";
  if (mode !== null || status === "renamed" || status === "copied") return "Its content is the same.";
  if (additions === 0) return "An empty file.";
  return "Its content is not shown: it is a link, cannot be read, or changed meanwhile.";
}
