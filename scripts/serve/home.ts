import { homedir } from "node:os";
import { join, resolve } from "node:path";

/** Where `codez` keeps its own files; `CODEZ_HOME` moves it, so that tests and second profiles stay apart. */
export function codezHome(): string {
  return process.env["CODEZ_HOME"] ?? join(homedir(), ".codez");
}

/** Claude Code's own folder, by the variable that Claude Code itself reads. */
export function claudeHome(): string {
  return process.env["CLAUDE_CONFIG_DIR"] ?? join(homedir(), ".claude");
}

/** Where Claude Code keeps, among much else, which folders its owner has accepted in the trust dialog. */
export function claudeStateFile(): string {
  return join(process.env["CLAUDE_CONFIG_DIR"] ?? homedir(), ".claude.json");
}

/** `~/src` as a person writes it in a config file, to an absolute path. */
export function expandHome(path: string): string {
  if (path === "~") return homedir();
  return resolve(path.startsWith("~/") ? join(homedir(), path.slice(2)) : path);
}
