import { resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { Command } from "commander";
import { backUp } from "./backup.ts";
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

program.parseAsync().catch((error: unknown) => {
  console.error(error instanceof Error ? error.message : String(error));
  process.exit(1);
});
