import { resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { Command } from "commander";
import { backUp } from "../local/backup/backup.ts";
import { type Finding, lineOf } from "./finding.ts";
import { lookAtAddress } from "./look-at-address.ts";
import { describeMemory, memoryOf } from "./look-at-memory.ts";
import { lookAtPorts } from "./look-at-ports.ts";
import { lookAtVersions } from "./look-at-versions.ts";
import { lookAtDisk, lookAtPermissions, lookAtProcess } from "./look-at-state.ts";
import { restore } from "../local/backup/restore.ts";
import { upgrade } from "./upgrade.ts";
import { serversCommand } from "./servers/commands.ts";

const stateDir = resolve(process.env["OPERATOR_STATE"] || fileURLToPath(new URL("../../.operator", import.meta.url)));

const program = new Command("operator")
  .description(
    "Checks and backs up an Operator on this computer. OPERATOR_STATE names its folder (default .operator in the repository).",
  )
  .showHelpAfterError();

program
  .command("backup <file>")
  .description("write everything that Operator stores, secrets included, into one file; Operator may be running")
  .action(async (file: string) => {
    const { files, bytes } = await backUp(stateDir, resolve(file));
    console.log(
      `${file} contains the ${files} files of ${stateDir} (${Math.ceil(bytes / 1024)} KB). It contains secrets: keep it safe.`,
    );
  });

program
  .command("restore <file>")
  .description("write the files of a backup into an empty folder (OPERATOR_STATE)")
  .action((file: string) => {
    const { files } = restore(resolve(file), stateDir);
    console.log(`restored ${files} files to ${stateDir}. Start Operator with: npm start`);
  });

program
  .command("upgrade")
  .description("change over to this release: try it with a copy of the state, then restart Operator")
  .option("--restart <command>", "shell command that restarts Operator, for example: systemctl restart operator")
  .action(({ restart }: { restart?: string }) => upgrade(stateDir, restart, (line) => console.log(line)));

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
      ...(isThere ? [lookAtDisk(stateDir), ...lookAtVersions(stateDir), ...(await lookAtPorts(stateDir))] : []),
      ...(url === null ? [] : await lookAtAddress(url)),
    ]);
  });

program.addCommand(serversCommand(async () => (await lookAtProcess(stateDir)).url));

function say(findings: readonly Finding[]): void {
  for (const finding of findings) console.log(lineOf(finding));
  if (findings.some(({ level }) => level === "problem")) process.exitCode = 1;
}

program.parseAsync().catch((error: unknown) => {
  console.error(error instanceof Error ? error.message : String(error));
  process.exit(1);
});
