import { homedir } from "node:os";
import { join } from "node:path";

/** Claude Code's own folder, from the same environment variable that Claude Code reads. */
export function claudeHome(): string {
  return process.env["CLAUDE_CONFIG_DIR"] ?? join(homedir(), ".claude");
}

/** Claude Code's state file. Among other things it lists the folders that the owner has accepted in the trust dialog. */
export function claudeStateFile(): string {
  return join(process.env["CLAUDE_CONFIG_DIR"] ?? homedir(), ".claude.json");
}
