import { readFile } from "node:fs/promises";
import { mkdirSync } from "node:fs";
import { devNull } from "node:os";
import { join } from "node:path";
import { writePrivately } from "../../system/atomic-file.ts";
import { ServeFailure } from "../error.ts";
import { gitText, NO_WORD, type GitRun } from "./git.ts";
import type { OwnObjects } from "./own-objects.ts";

/**
 * Settings of a repository, or of its owner, that decide what counts as a change. None of them names a program or a file. Whoever changes them
 * at the wrong moment changes what is shown.
 */
const TAKEN_OVER =
  "^core\\.(autocrlf|checkstat|eol|filemode|ignorecase|longpaths|precomposeunicode|symlinks|trustctime)$";

/** Those settings, or the name of a hash. Bytes. */
const MAX_SETTINGS_BYTES = 64 * 1024;

/**
 * The same repository for git, but with a configuration of ours. To compare a file with a commit, git passes it through its filter
 * (`filter.<name>.clean`), which is a command that the configuration names. There is no option against that, and overruling the filters that a
 * configuration has is too late for one that is added in between. So git is told that the folder with everything but HEAD and the index is ours
 * (`GIT_COMMON_DIR`), with the objects where they are: it does not read the repository's configuration at all.
 *
 * In that folder there are no branches, so commits are named by their ids.
 *
 * @param run of the repository as it is
 * @param home the folder of codez's own files
 * Throws ServeFailure `git_failed`.
 */
export async function withSettledConfig(
  run: GitRun,
  { gitFolder, objects }: OwnObjects,
  home: string,
): Promise<GitRun> {
  const { text: format } = await gitText(["rev-parse", "--show-object-format"], run, MAX_SETTINGS_BYTES);
  return {
    ...run,
    settings: await settingsOf(run),
    environment: {
      GIT_DIR: gitFolder,
      GIT_COMMON_DIR: await commonFolder(home, format.trim() === "sha256" ? "sha256" : "sha1"),
      GIT_OBJECT_DIRECTORY: objects,
      // Not the owner's either: with `git lfs install` it has a filter.
      GIT_CONFIG_GLOBAL: devNull,
      GIT_CONFIG_NOSYSTEM: "1",
    },
  };
}

/** A folder that git takes for a repository's, which has nothing but the format of its objects. It is made once. */
async function commonFolder(home: string, format: "sha1" | "sha256"): Promise<string> {
  const folder = join(home, "serve", "git", format);
  const path = join(folder, "config");
  const config = `[core]\n\trepositoryFormatVersion = 1\n[extensions]\n\tobjectFormat = ${format}\n`;
  if ((await readFile(path, "utf8").catch(() => null)) === config) return folder;
  writePrivately(path, config);
  mkdirSync(join(folder, "refs"), { recursive: true });
  return folder;
}

async function settingsOf(run: GitRun): Promise<Record<string, string>> {
  try {
    const { text } = await gitText(["config", "--null", "--get-regexp", TAKEN_OVER], run, MAX_SETTINGS_BYTES);
    // The last of several counts. A name alone is one that is true.
    return Object.fromEntries(
      text.split("\0").flatMap((setting) => {
        const [, name, value = "true"] = /^([^\n]+)(?:\n([^]*))?$/.exec(setting) ?? [];
        return name === undefined ? [] : [[name, value]];
      }),
    );
  } catch (error) {
    // git ends with 1 and without a word if there is no such setting.
    if (error instanceof ServeFailure && error.error.code === "git_failed" && error.error.detail === NO_WORD) return {};
    throw error;
  }
}
