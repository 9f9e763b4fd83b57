import { homedir } from "node:os";
import { join, resolve } from "node:path";

/** The folder of `codez`'s own files. `CODEZ_HOME` overrides it, for example for tests; an empty one would be the folder that a command runs in. */
export function codezHome(): string {
  return process.env["CODEZ_HOME"] || join(homedir(), ".codez");
}

/** Expands a leading `~` (`~/src` in a configuration file) to an absolute path. */
export function expandHome(path: string): string {
  if (path === "~") return homedir();
  return resolve(path.startsWith("~/") ? join(homedir(), path.slice(2)) : path);
}
