import { homedir } from "node:os";
import { join } from "node:path";

/** Claude Code's own folder, by the variable that Claude Code itself reads. */
export function claudeHome(): string {
  return process.env["CLAUDE_CONFIG_DIR"] ?? join(homedir(), ".claude");
}

/** Where Claude Code keeps, among much else, which folders its owner has accepted in the trust dialog. */
export function claudeStateFile(): string {
  return join(process.env["CLAUDE_CONFIG_DIR"] ?? homedir(), ".claude.json");
}
