import { CODING_TOOLS } from "#protocol/coding-tools.ts";
import { type Changes, type FileChanges, readChanges } from "../changes/changes.ts";
import { findSessionFile } from "../history/session-file.ts";
import { ServeFailure } from "../error.ts";
import type { Machine } from "../machine.ts";
import { defineTool, type Tool } from "../mcp/tool.ts";

const NO_REPOSITORY =
  "The session's folder is in no git repository, so there is nothing to compare with. Its edits are among the tool uses of get_session.";

export function changeTools({ catalog, home, policy, projectsFolder, sessions }: Machine): Tool[] {
  const changes = defineTool(CODING_TOOLS.get_changes, async ({ session_id: session, path = null }, { signal }) => {
    const folder = await policy.mayReadFiles((await sessions.where(session)).cwd);
    const about = await catalog.get(session, await findSessionFile(projectsFolder, session));
    const createdMs = about["created_at_ms"];
    const sinceMs = typeof createdMs === "number" ? createdMs : null;
    const found = await readChanges({ folder, sinceMs, path, home, signal });
    const place = { session_id: session, folder, since_ms: sinceMs };
    if (found === null) return { ...place, repository: null, note: NO_REPOSITORY, files: [], total: 0 };
    if (path !== null && found.files.length === 0)
      throw new ServeFailure({
        code: "arguments_invalid",
        detail: `${path} did not change; leave path out for the list`,
      });
    return { ...place, ...tell(found) };
  });
  return [changes];
}

function tell({ root, base, commits, files, fileCount, isCountCut, isIncomplete }: Changes): Record<string, unknown> {
  return {
    repository: root,
    base_commit: base,
    commits,
    files: files.map(tellFile),
    total: fileCount,
    ...(isCountCut ? { total_is_minimum: true } : {}),
    ...(isIncomplete ? { diffs_left_out: true } : {}),
  };
}

function tellFile(file: FileChanges): Record<string, unknown> {
  const { path, oldPath, status, modes, additions, deletions, isBinary, diff, cutBytes } = file;
  const [before, after] = modes ?? ["", ""];
  // A new file has a mode as well, which says something only if it is a program, a link or a submodule.
  const isModeTold = before !== after && after !== "000000" && !(before === "000000" && after === "100644");
  return {
    path,
    ...(oldPath === null ? {} : { old_path: oldPath }),
    status,
    additions,
    deletions,
    ...(isModeTold ? { mode: before === "000000" ? after : `${before} to ${after}` } : {}),
    ...(isBinary ? { binary: true } : {}),
    ...(diff === null ? {} : { diff }),
    ...(cutBytes > 0 ? { diff_cut_bytes: cutBytes } : {}),
  };
}
