import { resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { Command } from "commander";
import { backUp } from "./backup.ts";
import { type Finding, lineOf } from "./finding.ts";
import { lookAtAddress } from "./look-at-address.ts";
import { lookAtDisk, lookAtPermissions, lookAtProcess } from "./look-at-state.ts";
import { restore } from "./restore.ts";

const stateDir = resolve(process.env["OPERATOR_STATE"] || fileURLToPath(new URL("../../.operator", import.meta.url)));

const program = new Command("operator")
  .description(
    "Looks after an Operator on this computer. OPERATOR_STATE names its folder (default .operator in the repository).",
  )
  .showHelpAfterError();

program
  .command("backup <file>")
  .description("write everything that Operator keeps, secrets included, into one file; while it runs or not")
  .action(async (file: string) => {
    const { files, bytes } = await backUp(stateDir, resolve(file));
    console.log(
      `${file} has the ${files} files of ${stateDir} (${Math.ceil(bytes / 1024)} KB). It holds secrets: keep it safe.`,
    );
  });

program
  .command("restore <file>")
  .description("put a backup into an empty folder (OPERATOR_STATE)")
  .action((file: string) => {
    const { files } = restore(resolve(file), stateDir);
    console.log(`${files} files are in ${stateDir}. Start it with: npm start`);
  });

program
  .command("status")
  .description("say whether Operator runs, and where; exits with 1 when it does not")
  .action(async () => say([(await lookAtProcess(stateDir)).finding]));

program
  .command("doctor")
  .description(
    "look at everything that keeps clients away: process, permissions, disk, DNS, certificate, public address",
  )
  .action(async () => {
    const { finding, url } = await lookAtProcess(stateDir);
    const permissions = lookAtPermissions(stateDir);
    const isThere = permissions[0]?.level === "ok";
    say([
      finding,
      ...permissions,
      ...(isThere ? [lookAtDisk(stateDir)] : []),
      ...(url === null ? [] : await lookAtAddress(url)),
    ]);
  });

function say(findings: readonly Finding[]): void {
  for (const finding of findings) console.log(lineOf(finding));
  if (findings.some(({ level }) => level === "problem")) process.exitCode = 1;
}

program.parseAsync().catch((error: unknown) => {
  console.error(error instanceof Error ? error.message : String(error));
  process.exit(1);
});
