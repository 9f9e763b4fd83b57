import { homedir } from "node:os";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { npxPackages } from "../system/npx.ts";

/** Defined by `scripts/build/operator.ts` in the packed program; undefined when Operator runs from a clone. */
declare const OPERATOR_IS_PACKED: boolean | undefined;

/** Whether this is the packed program, `operator.tgz`, and not a clone of the repository. */
export const IS_PACKED = typeof OPERATOR_IS_PACKED === "boolean";

/**
 * The folder with the program's own files: the repository, or the package. The package has some of the repository's files, at the
 * same paths, and what was built in advance in `build/`.
 */
export const PROGRAM = fileURLToPath(new URL(IS_PACKED ? ".." : "../..", import.meta.url));

/** What `npx` fetched this program from, if it was started in that way: the address or path of an `operator.tgz`. */
export const FETCHED = IS_PACKED
  ? (npxPackages(process.argv[1]).find((one) => one.includes("operator")) ?? null)
  : null;

/** The command with which a person runs the `operator` command: the one that started this program. */
export const OPERATOR_COMMAND = FETCHED === null ? (IS_PACKED ? "operator" : "npx operator") : `npx -y ${FETCHED}`;

/** The command with which a person starts Operator. */
export const START_COMMAND = IS_PACKED ? `${OPERATOR_COMMAND} start` : "npm start";

/** Where Operator stores everything, unless OPERATOR_STATE names another folder. A package is replaced by its next release. */
export const DEFAULT_STATE = IS_PACKED ? "~/.operator" : ".operator in the repository";

/** The state folder that the environment names, or the default one. */
export function stateFolder(env: NodeJS.ProcessEnv): string {
  return resolve(env["OPERATOR_STATE"] || join(IS_PACKED ? homedir() : PROGRAM, ".operator"));
}
