import { join } from "node:path";
import { HELP, readArguments } from "./arguments.ts";
import { banner } from "./banner.ts";
import { isClaimable } from "./claim.ts";
import { explainFileFailure } from "./file-failure.ts";
import { LogFile } from "./log-file.ts";
import { startOperator, type RunningOperator } from "./operator.ts";
import { codezHome } from "../system/home.ts";
import { writeOwnerToken } from "../system/owner-token.ts";

/** As a shell counts a death by signal. */
const EXIT_CODES = { SIGINT: 130, SIGTERM: 143, SIGHUP: 129 } as const;

async function main(): Promise<void> {
  const { door, domain, stateDir, metricsPort, verbose, help } = readArguments(process.argv.slice(2), process.env);
  if (help) return void console.log(HELP);
  // Exiting ends everything that was started: children are killed with us, and the lock is released on "exit".
  for (const [signal, code] of Object.entries(EXIT_CODES)) process.on(signal, () => process.exit(code));
  // A terminal that is closed, or a pipe whose reader has gone, takes no more lines; that is no reason to end.
  for (const stream of [process.stdout, process.stderr]) stream.on("error", () => {});

  const file = new LogFile(join(stateDir, "operator.log"), (line) => console.error(line));
  const log = (line: string) => {
    file.write(line);
    if (verbose) console.error(line);
  };
  console.error("Starting Operator ...");
  const report = (line: string) => {
    console.error(line);
    file.write(`${new Date().toISOString()} ${line}`);
  };
  const running = await startOperator({
    port: door.port,
    publicDoor: door.kind === "public" ? door : null,
    domain,
    stateDir,
    metricsPort,
    report,
    log,
  }).catch((error: unknown) => {
    throw new Error(explainFileFailure(error, stateDir) ?? messageOf(error), { cause: error });
  });
  file.write(`${new Date().toISOString()} started as process ${process.pid} at ${running.url}`);
  const tokenFile = leaveToken(running, report);
  console.log(banner({ ...running, tokenFile, claimCode: (await isClaimable(running)) ? running.claimCode : null }));
}

/**
 * Leaves the owner's token where this user's `codez` finds it, and answers where. Anew at each start: another Operator may
 * have had this address since. A home folder that takes no file is no reason not to start.
 */
function leaveToken({ url, ownerToken }: RunningOperator, report: (line: string) => void): string | null {
  if (ownerToken === null) return null;
  try {
    return writeOwnerToken(url, ownerToken);
  } catch (error) {
    report(
      `the owner's token could not be left in ${codezHome()} (${messageOf(error)}): set CODEZ_HOME to a folder of yours`,
    );
    return null;
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

main().catch((error: unknown) => {
  console.error(messageOf(error));
  process.exit(1);
});
