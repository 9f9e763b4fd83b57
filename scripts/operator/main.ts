import { resolve } from "node:path";
import { Command } from "commander";
import { backUp } from "../local/backup/backup.ts";
import { printableQuote } from "#protocol/printable.ts";
import { type Finding, linesOf } from "./finding.ts";
import { lookAtAddress } from "./look-at-address.ts";
import { lookAtCopies } from "./look-at-copies.ts";
import { describeMemory, memoryOf } from "./look-at-memory.ts";
import { lookAtPorts } from "./look-at-ports.ts";
import { lookAtVersions } from "./look-at-versions.ts";
import { lookAtDisk, lookAtPermissions, lookAtProcess } from "./look-at-state.ts";
import { COMES_BACK, restore } from "../local/backup/restore.ts";
import { DEFAULT_STATE, IS_PACKED, START_COMMAND, stateFolder } from "../local/program.ts";
import { ownVersion } from "../local/release.ts";
import { exitOnSignal } from "../system/exit-on-signal.ts";
import { keepLoopbackUnproxied } from "../system/loopback-unproxied.ts";
import { createPrivately } from "../system/umask.ts";
import { rolloutCommand } from "./rollout/commands.ts";
import { serversCommand } from "./servers/commands.ts";
import { print } from "../print.ts";

keepLoopbackUnproxied();
const stateDir = stateFolder(process.env);

const program = new Command("operator")
  .description(
    `${IS_PACKED ? "Runs, checks" : "Checks"} and backs up an Operator on this computer. OPERATOR_STATE names its folder (default ${DEFAULT_STATE}).`,
  )
  .version(ownVersion())
  .showHelpAfterError();

program
  .command("start [options...]")
  .description("run Operator until Ctrl-C; `operator start --help` lists the options")
  // Its options are read where they are used, so that they are the same for every way to start.
  .helpOption(false)
  .allowUnknownOption()
  .action(async (_: string[], __: unknown, command: Command) => {
    // Loaded here and in `upgrade` alone: what runs Operator takes longer to load than the other commands run.
    const { startHere } = await import("../local/start-here.ts");
    await startHere(command.args);
  });

program
  .command("backup <file>")
  .description("write everything that Operator stores, secrets included, into one file; Operator may be running")
  .action(async (file: string) => {
    exitOnSignal();
    createPrivately();
    const { files, bytes } = await backUp(stateDir, resolve(file));
    print(
      `${file} contains the ${files} files of ${stateDir} (${Math.ceil(bytes / 1024)} KB). It contains secrets: keep it safe.`,
    );
  });

program
  .command("restore <file>")
  .description("write the files of a backup into an empty folder (OPERATOR_STATE)")
  .action(async (file: string) => {
    createPrivately();
    const { files } = await restore(resolve(file), stateDir);
    print(`restored ${files} files to ${stateDir}. ${COMES_BACK} Start Operator with: ${START_COMMAND}`);
  });

program
  .command("upgrade")
  .description("change over to this release: try it with a copy of the state, then restart Operator")
  .option("--restart <command>", "shell command that restarts Operator, for example: systemctl restart operator")
  .action(async ({ restart }: { restart?: string }) => {
    exitOnSignal();
    createPrivately();
    const { upgrade } = await import("./upgrade.ts");
    await upgrade(stateDir, restart, print);
  });

program
  .command("status")
  .description("show whether Operator is running, its URL and its memory; exits with 1 if it is not running")
  .action(async () => {
    const { finding } = await lookAtProcess(stateDir);
    const memory = await memoryOf(stateDir);
    say([finding, ...(memory === null ? [] : [describeMemory(memory)])]);
  });

program
  .command("doctor")
  .description("check what clients depend on: process, permissions, disk, DNS, certificate, public address")
  .action(async () => {
    const { finding, url } = await lookAtProcess(stateDir);
    const permissions = lookAtPermissions(stateDir);
    const isThere = permissions[0]?.level === "ok";
    say([
      finding,
      ...permissions,
      ...(await lookAtCopies(stateDir)),
      ...(isThere ? [await lookAtDisk(stateDir), ...lookAtVersions(stateDir), ...(await lookAtPorts(stateDir))] : []),
      ...(url === null ? [] : await lookAtAddress(url)),
    ]);
  });

program.addCommand(rolloutCommand(async () => (await lookAtProcess(stateDir)).url));
program.addCommand(serversCommand(async () => (await lookAtProcess(stateDir)).url));

function say(findings: readonly Finding[]): void {
  for (const finding of findings) print(linesOf(finding));
  if (findings.some(({ level }) => level === "problem")) process.exitCode = 1;
}

program.parseAsync().catch((error: unknown) => {
  // An Operator, a server or a file may have said it.
  console.error(printableQuote(error instanceof Error ? error.message : String(error)));
  process.exit(1);
});
