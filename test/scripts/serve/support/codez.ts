import { Command } from "commander";
import { contextOf } from "../../../../scripts/codez/commands/context.ts";
import { hooksCommand } from "../../../../scripts/codez/commands/hooks.ts";
import { permissionsCommand } from "../../../../scripts/codez/commands/permissions.ts";
import { serveCommand } from "../../../../scripts/codez/commands/serve.ts";

// The commands as `codez` has them, run from the sources in a process of their own.
await new Command("codez")
  .addCommand(serveCommand({ version: "0.0.0-test" }))
  .addCommand(permissionsCommand())
  .addCommand(hooksCommand(contextOf([])))
  .parseAsync();
