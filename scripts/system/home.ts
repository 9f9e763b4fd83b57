import { homedir } from "node:os";
import { join, resolve } from "node:path";

/** Where `codez` keeps its own files; `CODEZ_HOME` moves it, so that tests and second profiles stay apart. */
export function codezHome(): string {
  return process.env["CODEZ_HOME"] ?? join(homedir(), ".codez");
}

/** `~/src` as a person writes it in a config file, to an absolute path. */
export function expandHome(path: string): string {
  if (path === "~") return homedir();
  return resolve(path.startsWith("~/") ? join(homedir(), path.slice(2)) : path);
}
