import { Command } from "commander";
import { Service } from "../service/service.ts";
import { type Context, JSON_OPTION, outputOf } from "./context.ts";

/** `codez service`: installs or removes the service that connects a machine whenever the computer starts. */
export function serviceCommand({ folder }: Context): Command {
  const command = new Command("service").description("install or remove the service that keeps a machine connected");
  command
    .command("install")
    .argument("[name]", "the machine (needed when this computer is set up as several)")
    .option(...JSON_OPTION)
    .action(async (name: string | undefined, options: { json?: boolean }) => {
      const { key, profile } = folder.choose(name);
      const done = await new Service(key).install(profile.target);
      outputOf(options).result({ machine: profile.name, done }, done);
    });
  command
    .command("uninstall")
    .argument("[name]", "the machine (needed when this computer is set up as several)")
    .option(...JSON_OPTION)
    .action(async (name: string | undefined, options: { json?: boolean }) => {
      const { key, profile } = folder.choose(name);
      const done = await new Service(key).uninstall();
      const lines = done.length === 0 ? `No service for "${key}" is installed.` : done;
      outputOf(options).result({ machine: profile.name, done }, lines);
    });
  return command;
}
