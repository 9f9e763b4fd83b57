import { existsSync } from "node:fs";
import { join } from "node:path";
import { isCancel, select } from "@clack/prompts";
import { writePrivately } from "../../system/atomic-file.ts";
import { codezHome } from "../../system/home.ts";

/**
 * Who answers when a session asks for permission, and what `serve.json` says for it (scripts/serve/config.ts). The first is what
 * holds without a file: the safest that still lets work be done.
 */
const ANSWERS = {
  page: {
    label: "I do, on my Operator's inbox page or at this computer",
    settings: { respondPermission: false, answerOnPages: true },
  },
  here: {
    label: "I do, only at this computer (codez permissions)",
    settings: { respondPermission: false, answerOnPages: false },
  },
  clients: {
    label: "I do, from any MCP client that is signed in to my Operator",
    settings: { respondPermission: true },
  },
  nobody: {
    label: "Nobody: what is not allowed already is denied",
    settings: { maxPermissionMode: "dontAsk", defaultPermissionMode: "dontAsk" },
  },
} as const;
export type PermissionAnswer = keyof typeof ANSWERS;

export const PERMISSION_ANSWERS = Object.keys(ANSWERS) as PermissionAnswer[];

/**
 * Settles once how permission requests of this computer's sessions are answered: as `given`, else by asking if somebody is
 * there. A `serve.json` that exists was chosen before, and is left as it is. Returns what holds, as a sentence.
 */
export async function choosePermissions(given: PermissionAnswer | undefined, mayAsk: boolean): Promise<string> {
  const path = join(codezHome(), "serve.json");
  if (existsSync(path)) return `permission requests: as ${path} says`;
  const answer = given ?? (mayAsk ? await asked() : null);
  if (answer === null)
    return `permission requests: answer them on the inbox page of your Operator, or here with codez permissions (to change it: ${path})`;
  writePrivately(path, `${JSON.stringify(ANSWERS[answer].settings, null, 2)}\n`);
  return `permission requests: ${ANSWERS[answer].label} (to change it: ${path})`;
}

async function asked(): Promise<PermissionAnswer | null> {
  const answer = await select({
    message: "When a Claude Code session on this computer asks for permission, who answers?",
    options: PERMISSION_ANSWERS.map((value) => ({ value, label: ANSWERS[value].label })),
  });
  return isCancel(answer) ? null : answer;
}
