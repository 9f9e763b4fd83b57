import { existsSync, realpathSync } from "node:fs";
import { basename, delimiter, dirname, join } from "node:path";
import { npxPackages } from "../system/npx.ts";
import { LAUNCHER } from "./install/launcher.ts";

const TARBALL = "/codez.tgz";

/**
 * Where the program `script` was fetched from by `npx -y https://operator.example.com/codez.tgz`: the address of that tarball,
 * or `null` when it came from anywhere else.
 */
export function tarballOf(script: string | undefined): string | null {
  return npxPackages(script).find((one) => /^https?:/.test(one) && one.endsWith(TARBALL)) ?? null;
}

/** The Operator that this program was fetched from by `npx`, or `null`. */
export function hubOfTarball(script: string | undefined): string | null {
  const tarball = tarballOf(script);
  return tarball === null ? null : new URL(tarball).origin;
}

/** The command with which a person runs codez again: the one that started this process. */
export function commandOf(script: string | undefined, environment: NodeJS.ProcessEnv): string {
  const tarball = tarballOf(script);
  if (tarball !== null) return `npx -y ${tarball}`;
  return installedCommand(script, environment) ?? (environment["npm_command"] === "exec" ? "npx codez" : "codez");
}

/**
 * How the codez that `codez up` installed is typed, if this is that one: its path, where its folder is not (yet) on the PATH of
 * this terminal and typing `codez` would start nothing, or another one.
 */
function installedCommand(script: string | undefined, { PATH = "" }: NodeJS.ProcessEnv): string | null {
  try {
    const launcher = join(dirname(realpathSync(script ?? "")), LAUNCHER);
    if (basename(script ?? "") !== "codez.js" || !existsSync(launcher)) return null;
    const found = PATH.split(delimiter)
      .map((one) => join(one, LAUNCHER))
      .find((one) => existsSync(one));
    return found !== undefined && realpathSync(found) === launcher ? "codez" : launcher;
  } catch {
    return null; // the program was removed while it runs
  }
}

const COMMANDS =
  "setup|connect|up|serve|permissions|hooks|status|machines|login|logout|rename|rotate|restore|retention|remove|forget|tokens|keys|watch|webhooks|audit|service|upgrade|uninstall";

/** A command of codez as our texts name it, unless it is written out already. */
const NAMED = new RegExp(`(?<![\\w/.-]|npx |codez\\.tgz )codez (?=(?:${COMMANDS}|[a-z ]*--help)\\b)`, "g");

/** The text with each codez command in the form that works in its reader's terminal. */
export function asTyped(text: string, command: string): string {
  return command === "codez" ? text : text.replaceAll(NAMED, `${command} `);
}
