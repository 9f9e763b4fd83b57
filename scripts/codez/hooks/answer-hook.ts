import { readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import * as z from "zod";
import { parseJson } from "#protocol/json.ts";
import { ASK_PATH, findRunning } from "../../serve/index.ts";
import { codezHome } from "../../system/home.ts";
import { holderOf } from "../../system/lock.ts";
import type { ProfileFolder } from "../profile/profile-folder.ts";

/** How often it is checked that Operator can still be reached. When it cannot, the terminal's own prompt is all there is. */
const LOOK_MS = 250;

/**
 * serve says at once that it has taken a request in. If it does not, the terminal must not wait for it. But a busy computer needs more than a
 * second now and then, and a request that is given up never reaches the inbox.
 */
const TAKE_LIMIT_MS = 5_000;

/** What Claude Code and Codex pass to a hook of this event on its standard input, as far as it is needed here. */
const HookInput = z.looseObject({
  session_id: z.string(),
  cwd: z.string(),
  tool_name: z.string(),
  tool_input: z.record(z.string(), z.unknown()).default({}),
  tool_use_id: z.string().optional(),
});

const Answer = z.object({
  behavior: z.enum(["allow", "deny"]),
  reason: z.string().nullable(),
  answers: z.record(z.string(), z.string()).nullable(),
});

/**
 * Answers the hook with which an agent in a terminal asks for permission: puts the request into this machine's book, where a person finds
 * it in the inbox, and waits for the decision. Returns what the hook prints, or `null` to leave everything to the terminal's own prompt:
 * when Operator cannot be reached, when it is answered in the terminal first, when its time is up.
 */
export async function answerHook(text: string, folder: ProfileFolder, env: NodeJS.ProcessEnv): Promise<string | null> {
  // A session of codez serve asks by itself.
  if (env["CODEZ_AGENT"] !== undefined) return null;
  const input = HookInput.safeParse(parseJson(text));
  if (!input.success || !isLinked(folder)) return null;
  const serve = findRunning(join(codezHome(), "serve", "running.json"));
  if (serve === null) return null;
  const gone = new AbortController();
  const watching = watchLink(folder, gone);
  try {
    const { session_id: session, cwd, tool_name: tool, tool_input: toolInput, tool_use_id: toolUse = "" } = input.data;
    const late = setTimeout(() => gone.abort(), TAKE_LIMIT_MS);
    const response = await fetch(`http://127.0.0.1:${serve.port}${ASK_PATH}`, {
      method: "POST",
      headers: { authorization: `Bearer ${serve.token}` },
      body: JSON.stringify({ session, cwd, tool, toolUse, input: toolInput }),
      redirect: "error",
      signal: gone.signal,
    });
    clearTimeout(late); // the head has come, so the request is in the book
    const answer = Answer.safeParse(response.ok ? parseJson(await response.text()) : null);
    return answer.success ? outputOf(answer.data, toolInput) : null;
  } catch {
    return null; // serve has ended, or Operator is away: the terminal's own prompt is what the person has
  } finally {
    watching();
  }
}

/** Whether a connector of this computer is linked to its Operator. */
function isLinked(folder: ProfileFolder): boolean {
  return folder.names().some((key) => holderOf(folder.file(key, ".lock"))?.state === "online");
}

/** Aborts when the link is lost, or the agent that runs this hook has ended. The returned function ends that. */
function watchLink(folder: ProfileFolder, gone: AbortController): () => void {
  const ended = new AbortController();
  const family = ancestors();
  const look = async (): Promise<void> => {
    while (!ended.signal.aborted) {
      await sleep(LOOK_MS, undefined, { signal: ended.signal });
      if (!isLinked(folder) || ancestors() !== family) return gone.abort();
    }
  };
  look().catch(() => undefined); // ended
  return () => ended.abort();
}

/**
 * The process that started this one, and, where it can be seen, the one that started that: an agent runs its hooks in a shell. An agent that
 * is killed ends none of them, and then they have other ancestors.
 */
function ancestors(): string {
  if (process.platform !== "linux") return String(process.ppid);
  try {
    const stat = readFileSync(`/proc/${process.ppid}/stat`, "utf8");
    return `${process.ppid} ${stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1] ?? ""}`;
  } catch {
    return ""; // the process has just ended
  }
}

/** The decision in the words of both agents. Codex takes no changed input, and asks no questions that would need one. */
function outputOf({ behavior, reason, answers }: z.infer<typeof Answer>, input: Record<string, unknown>): string {
  const changed = answers === null ? {} : { updatedInput: { ...input, answers } };
  const decision =
    behavior === "allow" ? { behavior, ...changed } : { behavior, message: reason ?? "A person denied this." };
  return JSON.stringify({ hookSpecificOutput: { hookEventName: "PermissionRequest", decision } });
}
