import { Command } from "commander";
import { serveCommand } from "../codez/commands/serve.ts";

// `codez` with nothing but serve, to be bundled into one file.
await new Command("codez").addCommand(serveCommand()).parseAsync();
