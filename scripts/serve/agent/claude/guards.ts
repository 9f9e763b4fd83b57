import { join } from "node:path";
import { claudeHome } from "../../home.ts";
import { isAbove } from "../../permission-mode.ts";
import type { StartOptions } from "../agent.ts";
import { freerAgents } from "./freer-agents.ts";
import { mayLeadOut } from "./outward-link.ts";
import type { Trust } from "./workspace-trust.ts";

/**
 * Before what sessions ask in a repository that nobody trusted. Claude Code runs commands that only read without asking. But git then runs the
 * programs that the repository's configuration names (`core.fsmonitor`, filters, external diffs) and a hook.
 */
const GIT = "Bash(git:*)";

/** The same where a link may lead out of the folder: `cat *` and `grep -R` follow it, and Claude Code (2.1.329) does not notice. */
const EVERY_COMMAND = "Bash";

/**
 * Commands that Claude Code (2.1.329) takes for readers of the folder and runs unasked. It looks at the paths among their arguments, but these read what
 * is named in their input, in a file or after an equals sign as well, and show it, in an error if not otherwise: `echo ~/.ssh/id | xargs head`.
 */
const READERS_OF_ANY_FILE = [
  "xargs:*",
  "wc *=*",
  "du *=*",
  "diff *=*",
  "strings:*",
  "hexdump:*",
  "tree:*",
  "fd:*",
  "fdfind:*",
];

/** Commands that it runs unasked, too, and that show how other programs were called, containers with their secrets included. */
const READERS_OF_PROCESSES = ["ps:*", "pgrep:*", "lsof:*", "docker:*"];

/** Prompts another session of this computer, such as one that the owner has open in a terminal, in a folder in which clients may start none. */
const OTHER_SESSIONS = "SendMessage";

/**
 * Tools that read unasked what is in no folder: the resources of the owner's MCP servers (a database, a drive), and of their account at claude.ai the
 * routines with their logs, the projects and what was published.
 */
const READERS_OF_OTHER_DATA = [
  "ListMcpResourcesTool",
  "ReadMcpResourceTool",
  "ReadMcpResourceDirTool",
  "RemoteTrigger",
  "Projects",
  "Artifact",
];

const ASK = [
  OTHER_SESSIONS,
  ...READERS_OF_OTHER_DATA,
  ...[...READERS_OF_ANY_FILE, ...READERS_OF_PROCESSES].map((command) => `Bash(${command})`),
];

/**
 * What Claude Code writes without asking in every mode, though the owner's own sessions go by it: what it remembers of a project, and what agents remember,
 * is in the context of later sessions; `launch.json` names programs that start for a preview. A rule's absolute path begins with two slashes.
 */
const DENY = [
  join(claudeHome(), "projects", "**"),
  join(claudeHome(), "agent-memory", "**"),
  "/**/.claude/agent-memory/**",
  "/**/.claude/agent-memory-local/**",
  "/**/.claude/launch.json",
].map((path) => `Edit(/${path})`);

/** Settings that decide in which way a session asks, whatever the owner has for their own. */
const SETTINGS = {
  // In `plan` a classifier would let commands run that nobody was asked about, as in `auto`.
  useAutoModeDuringPlan: false,
  // Its memory is where it is denied, and not in another folder that the owner chose.
  autoMemoryDirectory: "",
};

/**
 * Refuses new worktrees, which Claude Code makes without asking (for `EnterWorktree`, and for agents with one of their own). To make one, git fetches by
 * programs that the repository's configuration names (`core.sshCommand`), and writes links that nobody has looked at.
 */
const NO_WORKTREES = { WorktreeCreate: [{ hooks: [{ type: "command", command: "exit 1" }] }] };

/**
 * Settings of Claude Code under which it asks for what it would do unasked. Its rules to deny and to ask go before every rule to allow. `null` in a
 * mode above `acceptEdits`, in which the owner lets sessions run commands that nobody was asked about.
 *
 * @param trust what the folder may bring. Where programs are not trusted, git does not run unasked
 */
export async function guardsFor({ cwd, permissionMode }: StartOptions, trust: Trust): Promise<object | null> {
  if (isAbove(permissionMode, "acceptEdits")) return null;
  const freer = await freerAgents(trust.settings ? cwd : null, permissionMode);
  const deny = [...DENY, ...freer.map((name) => `Agent(${name})`)];
  if (trust.programs) return { ...SETTINGS, permissions: { ask: ASK, deny } };
  const commands = (await mayLeadOut(cwd, isAbove(permissionMode, "default"))) ? EVERY_COMMAND : GIT;
  return { ...SETTINGS, permissions: { ask: [...ASK, commands], deny }, hooks: NO_WORKTREES };
}
