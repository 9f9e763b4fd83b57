import { join } from "node:path";
import { peerBin } from "../../peers/bin.ts";
import { run } from "./run.ts";

/** Runs a person's own Claude Code, whose home is `home` and whose model is the stand-in at `apiUrl`. */
export function claudeClient(home: string, apiUrl: string, ...args: string[]): ReturnType<typeof run> {
  const env = {
    HOME: home,
    CLAUDE_CONFIG_DIR: join(home, ".claude"),
    ANTHROPIC_BASE_URL: apiUrl,
    ANTHROPIC_API_KEY: "key-of-the-stand-in",
    CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC: "1",
    DISABLE_AUTOUPDATER: "1",
    ENABLE_TOOL_SEARCH: "false",
    CI: "1",
  };
  return run(peerBin("claude"), args, { cwd: home, env });
}
