import { join } from "node:path";
import { HELP, readArguments, type StartArguments } from "./arguments.ts";
import { banner } from "./banner.ts";
import { printableQuote } from "#protocol/printable.ts";
import { isClaimable } from "./claim.ts";
import { explainFileFailure } from "./file-failure.ts";
import { LogFile } from "./log-file.ts";
import { logLine, type LogSource } from "./log-line.ts";
import { startOperator, type RunningOperator } from "./operator.ts";
import { IS_PACKED, START_COMMAND } from "./program.ts";
import { exitOnSignal } from "../system/exit-on-signal.ts";
import { codezHome } from "../system/home.ts";
import { writeKnown } from "../system/operators-folder.ts";
import { createPrivately } from "../system/umask.ts";

/**
 * What is kept of one script's output, twice: some thousand lines. Each has a log of its own, so none can push out what Operator or another script
 * has said. A hundred hosted servers that print without end take 100 MB.
 */
const SCRIPT_LOG_BYTES = 500_000;

/**
 * Runs Operator in this process until a signal ends it. Ends the process with 1 if the start fails.
 * @param words the command line, without the program
 */
export async function startHere(words: string[]): Promise<void> {
  try {
    await run(words);
  } catch (error) {
    console.error(messageOf(error));
    process.exit(1);
  }
}

async function run(words: string[]): Promise<void> {
  const args = argumentsIn(words);
  const { door, domain, stateDir, metricsPort, dispatchPort, webhookOrigins, logFormat, verbose, help } = args;
  if (help) return void console.log(HELP);
  // process.exit() is enough to stop everything: "exit" handlers kill the children (reaper.ts) and release the lock.
  exitOnSignal();
  createPrivately();
  // Writing to a closed terminal or pipe fails. That must not end Operator.
  for (const stream of [process.stdout, process.stderr]) stream.on("error", () => {});

  const inFormat = (source: LogSource, line: string) => logLine(logFormat, source, line, new Date());
  /** On the terminal, a person knows what time it is. */
  const say = (line: string) => console.error(logFormat === "json" ? inFormat("operator", line) : printableQuote(line));
  const file = new LogFile(join(stateDir, "operator.log"), say);
  const logTo = (to: LogFile) => (line: string) => {
    to.write(inFormat("worker", line));
    if (verbose) console.error(inFormat("worker", line));
  };
  const report = (line: string) => {
    say(line);
    file.write(inFormat("operator", line));
  };
  say("Starting Operator ...");
  const running = await startOperator({
    port: door.port,
    publicDoor: door.kind === "public" ? door : null,
    domain,
    stateDir,
    metricsPort,
    dispatchPort,
    ...(webhookOrigins === null ? {} : { vars: { WEBHOOK_ORIGINS: webhookOrigins } }),
    report,
    log: logTo(file),
    logOf: (path) => logTo(new LogFile(path, say, SCRIPT_LOG_BYTES)),
  }).catch((error: unknown) => {
    throw new Error(explainFileFailure(error, stateDir) ?? messageOf(error), { cause: error });
  });
  file.write(inFormat("operator", `started as process ${process.pid} at ${running.url}`));
  const tokenFile = leaveToken(running, report);
  console.log(banner({ ...running, tokenFile, claimCode: (await isClaimable(running)) ? running.claimCode : null }));
}

/** The command line. Throws an Error that says where its options are listed if it cannot be understood. */
function argumentsIn(words: string[]): StartArguments {
  try {
    return readArguments(words, process.env);
  } catch (error) {
    const help = `${START_COMMAND}${IS_PACKED ? "" : " --"} --help`;
    throw new Error(`${messageOf(error)}\nThe options are listed by: ${help}`, { cause: error });
  }
}

/**
 * Writes the owner's token to where this user's `codez` finds it, and returns the path. It is written at each start, because
 * another Operator may have used this address in between. If the file cannot be written, Operator starts without it.
 */
function leaveToken({ url, ownerToken }: RunningOperator, report: (line: string) => void): string | null {
  if (ownerToken === null) return null;
  try {
    return writeKnown(url, "token", ownerToken);
  } catch (error) {
    report(
      `the owner's token could not be written to ${codezHome()} (${messageOf(error)}): set CODEZ_HOME to a folder that you can write to`,
    );
    return null;
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
