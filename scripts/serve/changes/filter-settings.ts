import { ServeFailure } from "../error.ts";
import { gitText, NO_WORD, type GitRun } from "./git.ts";

/** Names of settings. A repository with more than this is refused. Bytes. */
const MAX_NAMES_BYTES = 64 * 1024;

/**
 * Settings that take the programs out of a repository's filters. Comparing a file with a commit passes the file through its filter
 * (`filter.<name>.clean`), which is a command that the repository's configuration names, and git has no option against it.
 *
 * Throws ServeFailure `git_failed`.
 */
export async function filterSettings(run: GitRun): Promise<Record<string, string>> {
  const names = await filterNames(run);
  const filters = new Set(names.split("\0").flatMap((name) => /^(filter\..*)\.[^.]+$/s.exec(name)?.[1] ?? []));
  return Object.fromEntries(
    [...filters].flatMap((filter) => [
      [`${filter}.clean`, ""],
      [`${filter}.process`, ""],
      [`${filter}.required`, "false"],
    ]),
  );
}

async function filterNames(run: GitRun): Promise<string> {
  try {
    const asked = ["config", "--null", "--name-only", "--get-regexp", "^filter\\."];
    const { text, isCut } = await gitText(asked, run, MAX_NAMES_BYTES);
    if (isCut) throw new ServeFailure({ code: "git_failed", detail: "the repository configures too many filters" });
    return text;
  } catch (error) {
    // git ends with 1 and without a word if there is no such setting.
    if (error instanceof ServeFailure && error.error.code === "git_failed" && error.error.detail === NO_WORD) return "";
    throw error;
  }
}
