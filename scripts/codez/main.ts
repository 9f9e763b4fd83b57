import { Command, CommanderError } from "commander";
import { inspect } from "node:util";
import { isMainThread } from "node:worker_threads";
import { auditCommand } from "./commands/audit.ts";
import { connectCommand } from "./commands/connect.ts";
import { contextOf } from "./commands/context.ts";
import { keysCommand } from "./commands/keys.ts";
import { loginCommand, logoutCommand } from "./commands/login.ts";
import { machinesCommand } from "./commands/machines.ts";
import { permissionsCommand } from "./commands/permissions.ts";
import { hooksCommand } from "./commands/hooks.ts";
import { forgetCommand } from "./commands/forget.ts";
import { removeCommand } from "./commands/remove.ts";
import { renameCommand } from "./commands/rename.ts";
import { retentionCommand } from "./commands/retention.ts";
import { restoreCommand } from "./commands/restore.ts";
import { rotateCommand } from "./commands/rotate.ts";
import { serveCommand } from "./commands/serve.ts";
import { serviceCommand } from "./commands/service.ts";
import { setupCommand } from "./commands/setup.ts";
import { statusCommand } from "./commands/status.ts";
import { tokensCommand } from "./commands/tokens.ts";
import { uninstallCommand } from "./commands/uninstall.ts";
import { upCommand } from "./commands/up.ts";
import { watchCommand } from "./commands/watch.ts";
import { webhooksCommand } from "./commands/webhooks.ts";
import { upgradeCommand } from "./commands/upgrade.ts";
import { describeDiskFailure, isDiskFailure } from "../system/disk-failure.ts";
import { codezHome } from "../system/home.ts";
import { keepLoopbackUnproxied } from "../system/loopback-unproxied.ts";
import { whyNotOwnWithin } from "../system/own-path.ts";
import { keepOwnRights } from "../system/umask.ts";
import { ExitCode } from "./exit-code.ts";
import { CodezFailure } from "./failure.ts";
import { asTyped, commandOf } from "./invocation.ts";
import { exitCodeForLaunchd, LAUNCHD_FLAG } from "./launchd.ts";
import { Output } from "./output.ts";
import { endSignIns } from "./sign-in/sign-in.ts";
import { VERSION } from "./version.ts";
import { printableQuote } from "#protocol/printable.ts";
import { tell } from "../print.ts";

/** The `codez` command. Sets the exit code (`exit-code.ts`); resolves when the command is done. */
async function main(args: readonly string[]): Promise<void> {
  const cut = args.indexOf("--");
  const own = cut === -1 ? args : args.slice(0, cut);
  try {
    await program(cut === -1 ? [] : args.slice(cut + 1)).parseAsync([...own], { from: "user" });
  } catch (reason) {
    const exitCode = exitCodeOf(reason, new Output(own.includes("--json")));
    process.exitCode = own.includes(LAUNCHD_FLAG) ? exitCodeForLaunchd(exitCode) : exitCode;
  } finally {
    await endSignIns();
  }
}

/** @param command the arguments after `--`, which are another program's command line. */
function program(command: readonly string[]): Command {
  const context = contextOf(command);
  const all = new Command("codez")
    .description("Connects this machine to an Operator: one MCP endpoint, every machine.")
    .version(VERSION)
    .addHelpText("after", "\nFirst: codez setup. Exit codes are listed in the README.");
  const commands = [
    setupCommand(context),
    connectCommand(context),
    upCommand(context),
    serveCommand({ version: VERSION }),
    permissionsCommand(),
    hooksCommand(context),
    statusCommand(context),
    machinesCommand(context),
    loginCommand(context),
    logoutCommand(context),
    renameCommand(context),
    rotateCommand(context),
    restoreCommand(context),
    retentionCommand(context),
    removeCommand(context),
    forgetCommand(context),
    tokensCommand(context),
    keysCommand(context),
    watchCommand(context),
    webhooksCommand(context),
    auditCommand(context),
    serviceCommand(context),
    upgradeCommand(context),
    uninstallCommand(context),
  ];
  for (const one of commands) all.addCommand(one);
  all.hook("preAction", refuseForeignHome);
  throwInsteadOfExit(all);
  return all;
}

/** What is in `~/.codez` says which program is run, and who may decide for this machine. Throws `CodezFailure`. */
function refuseForeignHome(): void {
  const home = codezHome();
  const why = whyNotOwnWithin(home);
  if (why === null) return;
  const fix = "Correct that, or set CODEZ_HOME to a folder of yours.";
  throw new CodezFailure(ExitCode.FILE_BROKEN, `${home} is not used: ${why}.`, fix);
}

/** Makes commander throw, otherwise it ends the process itself, with its own exit codes; and name the help after what it says of wrong usage. */
function throwInsteadOfExit(command: Command, typed = "codez"): void {
  const help = asTyped(`${typed} --help`, commandOf(process.argv[1], process.env));
  command.exitOverride().showHelpAfterError(`  fix: ${help}`);
  for (const one of command.commands) throwInsteadOfExit(one, `${typed} ${one.name()}`);
}

/** Prints what went wrong, unless commander has, and returns the exit code. */
function exitCodeOf(reason: unknown, output: Output): number {
  // Help and version end here as well, with 0. commander has already printed its message.
  if (reason instanceof CommanderError) return reason.exitCode === 0 ? ExitCode.OK : ExitCode.USAGE;
  const failure = isDiskFailure(reason) ? ofDisk(reason) : reason;
  if (!(failure instanceof CodezFailure)) {
    // Everything about an unexpected fault is shown, including text that a server sent.
    tell(printableQuote(inspect(reason)).split("\n"));
    return ExitCode.UNEXPECTED;
  }
  output.failure(failure);
  return failure.exitCode;
}

/** Not a final exit code (`exit-code.ts`): a service may be started again, when there is room. An operation on an open file has no path. */
function ofDisk(reason: NodeJS.ErrnoException): CodezFailure {
  const message = `${reason.path ?? codezHome()}: ${describeDiskFailure(reason)}.`;
  const fix = "See what is left there with df -h and df -i, free some space, and run this again.";
  return new CodezFailure(ExitCode.UNEXPECTED, message, fix, reason);
}

// The reader of the output may go away (`| head`, a closed terminal). The command continues without it.
for (const stream of [process.stdout, process.stderr]) stream.on("error", () => undefined);

keepLoopbackUnproxied();
// The index of `codez serve` is a thread of this program, which has the umask of its process and cannot set it.
if (isMainThread) keepOwnRights();
await main(process.argv.slice(2));
