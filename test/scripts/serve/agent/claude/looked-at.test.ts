// What Claude Code does unasked is decided in Claude Code. guards.ts has it ask for what goes too far, so somebody has to look at each new version: at
// every tool that it brings, and at every command that it takes for harmless. When one of these tests fails, find out whether the new one reads
// outside of the folder, runs something, or reaches somebody, without asking; have guards.ts stop that, with a test; and add its name here.
import { closeSync, openSync, readSync } from "node:fs";
import { expect, test } from "vitest";
import { peerBin } from "../../../../peers/bin.ts";
import { TestMachine } from "../../support/machine.ts";

/** Every tool that Claude Code may have in some session, for some account. */
const TOOLS = words(`
  Agent Artifact AskUserQuestion Bash ClaudeDesign CronCreate CronDelete CronList Edit EndConversation EnterPlanMode EnterWorktree ExitPlanMode
  ExitWorktree Glob Grep LSP ListAgents ListMcpResourcesTool Monitor NotebookEdit OfferChromeSetup PowerShell Projects PushNotification Read
  ReadMcpResourceDirTool ReadMcpResourceTool ReadNotifications RemoteTrigger ReportFindings ScheduleWakeup SendFeedback SendMessage SendUserFile
  SendUserMessage SetGoal ShareOnboardingGuide ShowOnboardingRolePicker Skill SubagentHandback TaskCreate TaskGet TaskList TaskStop TaskUpdate
  TodoWrite ToolSearch WaitForMcpServers WebFetch WebSearch Workflow Write propose_skills
`);

/** It is in the list of tools and does nothing. */
const PLACEHOLDER = "DeferredToolPlaceholder";

/** Commands that run unasked, some with certain options only. */
const COMMANDS = words(`
  cal uptime cat head tail wc stat strings hexdump od nl id uname free df du locale groups nproc basename dirname realpath cut paste tr column tac rev
  fold expand unexpand fmt comm cmp numfmt readlink diff true false sleep type expr seq tsort pr echo ls cd pwd whoami alias
  xargs file sed sort man help netstat ps base64 grep egrep fgrep sha256sum sha1sum md5sum tree date hostname which lsof pgrep tput ss fd fdfind aki rg
  jq uniq history arch ifconfig find printf test
`);

/** Claude Code's own description of these commands, in one of its skills. */
const DESCRIPTION = /\*\*Always auto-allowed \(any args\):\*\*[^]{1,8000}?\*\*All git read-only subcommands\*\*/g;

/** Options, and whole commands such as `node --version`, stand between the commands. */
const COMMAND = /^[a-z][a-z0-9]*$/;

const CHUNK_BYTES = 64 * 1024 * 1024;

/** Longer than what is looked for. */
const OVERLAP_BYTES = 64 * 1024;

function words(text: string): string[] {
  return text.trim().split(/\s+/).toSorted();
}

/** What a pattern finds in a file of hundreds of megabytes. */
function find(path: string, pattern: RegExp): string[] {
  const file = openSync(path, "r");
  try {
    const buffer = Buffer.alloc(CHUNK_BYTES);
    const found: string[] = [];
    for (let at = 0; ; at += CHUNK_BYTES - OVERLAP_BYTES) {
      const length = readSync(file, buffer, 0, CHUNK_BYTES, at);
      found.push(...(buffer.toString("latin1", 0, length).match(pattern) ?? []));
      if (length < CHUNK_BYTES) return found;
    }
  } finally {
    closeSync(file);
  }
}

test("Claude Code has no tool that nobody looked at", async () => {
  const lists = find(peerBin("claude"), /\["Agent"(?:,"\w+")+\]/g).map((list) => JSON.parse(list) as string[]);
  const all = lists.toSorted((one, other) => other.length - one.length)[0] ?? [];
  expect(all.toSorted()).toEqual(TOOLS);
  await using machine = await TestMachine.start();
  await using client = await machine.connect();
  const session_id = await client.create(machine.repo("repo"));
  await client.call("send_and_wait", { session_id, text: "hello", timeout_ms: 60_000 });
  const { tools = [], body } = machine.api.lastOfTurn ?? {};
  const [, deferred = ""] = /before calling them:((?:\\n\w+)+)/.exec(JSON.stringify(body)) ?? [];
  const offered = [...tools, ...deferred.split("\\n").filter((name) => name !== "")];
  expect(offered).toEqual(expect.arrayContaining(["Bash", "WebFetch"]));
  expect(offered.filter((name) => name !== PLACEHOLDER && !TOOLS.includes(name))).toEqual([]);
});

test("Claude Code runs no command unasked that nobody looked at", () => {
  const [text = ""] = find(peerBin("claude"), DESCRIPTION);
  const named = [...text.matchAll(/`([^`]+)`/g)].flatMap(([, name = ""]) => (COMMAND.test(name) ? [name] : []));
  expect(named.toSorted()).toEqual(COMMANDS);
});
