import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import * as z from "zod";

/** The programs of `package.json` beside this file, by the name of their command. */
const COMMANDS = {
  claude: "@anthropic-ai/claude-code",
  conformance: "@modelcontextprotocol/conformance",
  "mcp-inspector": "@modelcontextprotocol/inspector",
  "mcp-server-everything": "@modelcontextprotocol/server-everything",
} as const;

export type PeerCommand = keyof typeof COMMANDS;

const Manifest = z.object({ bin: z.record(z.string(), z.string()) });

/** The folder that holds the peers' `node_modules`. */
export const PEERS_FOLDER = dirname(fileURLToPath(import.meta.url));

/** The folder of an installed package, for those that are imported rather than run (`playwright-core`). */
function peerPackage(name: string): string {
  return join(PEERS_FOLDER, "node_modules", name);
}

/**
 * The file behind a peer's command: `claude` is a native executable, the others are scripts for `node`.
 * Throws when the peers are not installed (the global setup of `setup.ts` did not run).
 */
export function peerBin(command: PeerCommand): string {
  const folder = peerPackage(COMMANDS[command]);
  const { bin } = Manifest.parse(JSON.parse(readFileSync(join(folder, "package.json"), "utf8")));
  const file = bin[command];
  if (file === undefined) throw new Error(`${COMMANDS[command]} has no command named ${command}`);
  return join(folder, file);
}
