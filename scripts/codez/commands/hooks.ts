import { homedir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { Command } from "commander";
import { answerHook } from "../hooks/answer-hook.ts";
import { HookFile } from "../hooks/hook-file.ts";
import { Installation } from "../install/installation.ts";
import { hubOfTarball } from "../invocation.ts";
import { VERSION } from "../version.ts";
import { type Context, JSON_OPTION, outputOf } from "./context.ts";

/**
 * How long Claude Code lets the hook wait, in seconds. Without a time of its own it is ended after 60 s. The prompt of the terminal is
 * there all the while, so an hour costs nobody anything; it is the time that requests of served sessions wait.
 */
const CLAUDE_TIMEOUT_S = 3_600;

/** Codex shows its own prompt only after its hooks have ended, so there it must not wait for long. Seconds. */
const CODEX_TIMEOUT_S = 60;

/** Codex skips a hook that its person has not trusted, without a word, and a changed one as well (seen with 0.169.0). */
const TRUST_IN_CODEX =
  "Codex runs it only after you have trusted it: start codex, type /hooks, choose the hook for permission requests, and trust it.";

type Options = { codex?: boolean; json?: boolean };

/** `codez hooks`: lets sessions that a person runs in a terminal ask in the inbox, too. */
export function hooksCommand({ folder }: Context): Command {
  const command = new Command("hooks").description("let agents in terminals of this computer ask in the inbox, too");
  command
    .command("install")
    .description("add a hook to Claude Code's settings: what a session in a terminal asks can be answered anywhere")
    .option("--codex", "to those of Codex instead; its own prompt then appears after the hook, a minute later")
    .option(...JSON_OPTION)
    .action((options: Options) => {
      const installation = new Installation();
      // npx runs codez from a cache that gets cleaned, so the hook runs a copy that stays.
      installation.installOwn(VERSION, hubOfTarball(process.argv[1]));
      const file = fileOf(options);
      file.install(
        `"${process.execPath}" "${installation.program}"`,
        options.codex === true ? CODEX_TIMEOUT_S : CLAUDE_TIMEOUT_S,
      );
      const isCodex = options.codex === true;
      const installed = `${file.path} has the hook now. New sessions ask in the inbox as well, while codez up runs and is online.`;
      const undo = `To undo it: codez hooks uninstall${isCodex ? " --codex" : ""}`;
      const said = isCodex ? [installed, TRUST_IN_CODEX, undo] : [installed, undo];
      outputOf(options).result({ installed: file.path, ...(isCodex ? { next: TRUST_IN_CODEX } : {}) }, said);
    });
  command
    .command("uninstall")
    .description("remove the hook; the settings file is again as it was")
    .option("--codex", "that of Codex")
    .option(...JSON_OPTION)
    .action((options: Options) => {
      const file = fileOf(options);
      const removed = file.remove();
      outputOf(options).result(
        { removed, path: file.path },
        removed ? `The hook is gone from ${file.path}.` : `There is no hook of codez in ${file.path}.`,
      );
    });
  command.addCommand(
    new Command("answer").description("run by the agent as the hook").action(async () => {
      const output = await answerHook(await text(process.stdin), folder, process.env);
      // Nothing on standard output leaves the decision to the agent's own prompt.
      if (output !== null) console.log(output);
    }),
    { hidden: true },
  );
  return command;
}

/** The file of hooks that are the person's own, and not a project's. */
function fileOf({ codex }: Options): HookFile {
  const { CLAUDE_CONFIG_DIR: claude, CODEX_HOME: codexHome } = process.env;
  return codex === true
    ? new HookFile(join(codexHome ?? join(homedir(), ".codex"), "hooks.json"))
    : new HookFile(join(claude ?? join(homedir(), ".claude"), "settings.json"));
}
