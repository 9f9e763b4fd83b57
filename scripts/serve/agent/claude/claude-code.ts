import { spawn, execFile } from "node:child_process";
import { promisify } from "node:util";
import * as z from "zod";
import { childEnvironment } from "../../../system/child-environment.ts";
import { ServeFailure } from "../../error.ts";
import { isAbove } from "../../permission-mode.ts";
import type { Agent, AgentCheck, AgentRun, StartOptions } from "../agent.ts";
import type { Keeper } from "../keeper.ts";
import { ClaudeRun } from "./claude-run.ts";
import { guardsFor } from "./guards.ts";
import { ownersPlugins } from "./owners-plugins.ts";
import type { Trust } from "./workspace-trust.ts";

const run = promisify(execFile);

/** `claude --version` and `auth status` take a tenth of a second; a first start after an update several. */
const CHECK_LIMIT_MS = 20_000;

/** The first version whose stream-json control protocol serve was fully tested against. */
const OLDEST_VERSION = [2, 1, 0] as const;

/**
 * Variables that Claude Code sets for its child processes. If serve was started from a Claude Code session it has inherited
 * them, and a session started with them would believe that it is part of that outer session.
 */
const OUTER_SESSION_VARIABLES = ["CLAUDECODE", "CLAUDE_CODE_ENTRYPOINT", "CLAUDE_CODE_SSE_PORT"];

/** What Claude Code would do without asking for permission. */
const TURNED_OFF = {
  // It reads any file that a prompt mentions (`@~/.ssh/id`).
  CLAUDE_CODE_DISABLE_FILE_MENTIONS: "1",
  // It keeps prompts for later in the project, and whichever session is open there then gets them: also the owner's, and after the client lost its access.
  CLAUDE_CODE_DISABLE_CRON: "1",
};

/**
 * The tool with which Claude asks a person and waits. Where the owner turned it off, Claude asks in its text and ends the turn; the next
 * prompt is the answer.
 */
const QUESTION_TOOLS = ["AskUserQuestion"];

/** An approved ExitPlanMode switches a session to `default`, which exceeds the owner's limit where that is lower. */
const MODE_TOOLS = ["EnterPlanMode", "ExitPlanMode"];

/** Tells the model that it will be woken, which does not happen where nothing is kept for later. */
const UNUSABLE_TOOLS = ["ScheduleWakeup"];

/**
 * The installed `claude`, controlled by stream-json on its standard input and output.
 *
 * This does not use the `@anthropic-ai/claude-agent-sdk` package. That package starts the same executable and speaks the same
 * protocol, but brings an executable of its own (hundreds of megabytes), and its licence does not allow us to redistribute it
 * inside `codez`. This way sessions also run in the version that the owner installed, signed in to and updates.
 */
export class ClaudeCode implements Agent {
  readonly name = "claude-code";
  readonly #command: () => string;
  readonly #trustIn: (folder: string) => Promise<Trust>;
  readonly #keeper: Keeper;
  readonly #mayAsk: () => boolean;

  /**
   * @param trustIn what of the project in a folder may be loaded and run.
   * @param mayAsk whether the agent may ask questions and wait for the answers.
   */
  constructor(
    command: () => string,
    trustIn: (folder: string) => Promise<Trust>,
    keeper: Keeper,
    mayAsk: () => boolean,
  ) {
    this.#command = command;
    this.#mayAsk = mayAsk;
    this.#trustIn = trustIn;
    this.#keeper = keeper;
  }

  async check(): Promise<AgentCheck> {
    const command = this.#command();
    const version = await this.#version(command);
    if (version === null) {
      const missing = `Claude Code was not found (${command}); run: npm install -g @anthropic-ai/claude-code`;
      return { command, version, signedIn: null, problems: [missing] };
    }
    const problems: string[] = [];
    if (isOlder(version)) problems.push(`Claude Code ${version} is too old; run: claude update`);
    const signedIn = await this.#signedIn(command);
    if (signedIn === false) problems.push("nobody is signed in to Claude Code; run on the machine: claude auth login");
    return { command, version, signedIn, problems };
  }

  async start(options: StartOptions): Promise<AgentRun> {
    const command = this.#command();
    const trust = await this.#trustIn(options.cwd);
    const guards = await guardsFor(options, trust);
    const settings = trust.programs ? guards : { ...guards, enabledPlugins: allOff(await ownersPlugins()) };
    const mark = this.#keeper.newMark();
    const env = { ...ownEnvironment(), ...TURNED_OFF, ...mark.env };
    // In a process group of its own, because a Ctrl-C at serve's terminal must reach serve only, which then ends its agents
    // properly.
    const child = spawn(command, startArguments(options, trust, settings, this.#mayAsk()), {
      cwd: options.cwd,
      env,
      detached: true,
      stdio: ["pipe", "pipe", "pipe"],
    });
    const spawned = new Promise<number>((resolve, reject) => {
      child.once("error", () => reject(new ServeFailure({ code: "agent_missing", command })));
      child.once("spawn", () => (child.pid === undefined ? undefined : resolve(child.pid)));
    });
    const pid = await spawned;
    const guard = this.#keeper.watch(pid, mark);
    const claude = new ClaudeRun(child, pid, guard, options.onEvent);
    await claude.ready();
    return claude;
  }

  async #version(command: string): Promise<string | null> {
    try {
      const { stdout } = await run(command, ["--version"], { timeout: CHECK_LIMIT_MS, env: ownEnvironment() });
      return /\d+\.\d+\.\d+/.exec(stdout)?.[0] ?? null;
    } catch {
      // Not found, not executable, or built for another system: for the caller all of these mean "missing".
      return null;
    }
  }

  async #signedIn(command: string): Promise<boolean | null> {
    const options = { timeout: CHECK_LIMIT_MS, env: ownEnvironment() };
    const { stdout } = await run(command, ["auth", "status", "--json"], options).catch(
      // It exits with 1 when nobody is signed in, but prints the same JSON.
      (error: unknown) => ({ stdout: error instanceof Error && "stdout" in error ? String(error.stdout) : "" }),
    );
    try {
      return z.looseObject({ loggedIn: z.boolean() }).parse(JSON.parse(stdout)).loggedIn;
    } catch {
      // A version without this command. Whether somebody is signed in is unknown.
      return null;
    }
  }
}

/** The environment for Claude Code: serve's own, without Operator's variables and those of an outer Claude Code session. */
function ownEnvironment(): Record<string, string> {
  const env = childEnvironment();
  for (const name of OUTER_SESSION_VARIABLES) delete env[name];
  return env;
}

/**
 * The owner's plugins bring MCP servers, and language servers, which start when a file is edited or looked at and then run what its repository
 * names: build scripts, a compiler of its own. No setting turns off only these.
 */
function allOff(plugins: readonly string[]): Record<string, false> {
  return Object.fromEntries(plugins.map((plugin) => [plugin, false]));
}

function startArguments(options: StartOptions, trust: Trust, settings: object | null, mayAsk: boolean): string[] {
  const { session, origin, model, permissionMode, highestMode } = options;
  const protocol = ["--input-format", "stream-json", "--output-format", "stream-json", "--verbose"];
  const args = ["--print", ...protocol, "--include-partial-messages", "--permission-prompt-tool", "stdio"];
  // Makes Claude Code report when it starts on a prompt, which need not be in the next turn: see ClaudeRun.
  args.push("--replay-user-messages");
  const modeTools = isAbove("default", highestMode) ? MODE_TOOLS : [];
  const disallowed = [...UNUSABLE_TOOLS, ...(mayAsk ? [] : QUESTION_TOOLS), ...modeTools];
  // Always set, so that a default in the owner's own settings never applies to prompts of remote clients.
  args.push("--permission-mode", permissionMode);
  args.push("--disallowedTools", disallowed.join(","));
  // Only the owner's own settings. Those of the folder could contain hooks, which run at the start of a session.
  if (!trust.settings) args.push("--setting-sources", "user");
  // The owner's own MCP servers start in the session's folder too, and `npx` and `python -m` take their program from there.
  if (!trust.programs) args.push("--strict-mcp-config");
  if (settings !== null) args.push("--settings", JSON.stringify(settings));
  if (model !== null) args.push("--model", model);
  switch (origin.kind) {
    case "new":
      return [...args, "--session-id", session];
    case "resume":
      return [...args, "--resume", session];
    case "fork":
      return [...args, "--resume", origin.from, "--fork-session", "--session-id", session];
  }
}

function isOlder(version: string): boolean {
  const found = version.split(".").map(Number);
  for (const [index, wanted] of OLDEST_VERSION.entries()) {
    const difference = (found[index] ?? 0) - wanted;
    if (difference !== 0) return difference < 0;
  }
  return false;
}
