import { Command } from "commander";
import { permissionsCommand } from "../../../../scripts/codez/commands/permissions.ts";
import { serveCommand } from "../../../../scripts/codez/commands/serve.ts";

// The two commands as `codez` has them, run from the sources in a process of their own.
await new Command("codez")
  .addCommand(serveCommand({ version: "0.0.0-test" }))
  .addCommand(permissionsCommand())
  .parseAsync();
