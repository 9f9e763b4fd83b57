import type { Command } from "commander";
import { Output } from "../output.ts";
import { ProfileFolder } from "../profile/profile-folder.ts";

/** What every command gets. */
export type Context = {
  /** The arguments after `--` on the command line. */
  readonly command: readonly string[];
  readonly folder: ProfileFolder;
};

export function contextOf(command: readonly string[]): Context {
  return { command, folder: new ProfileFolder() };
}

export function outputOf(options: { json?: boolean }): Output {
  return new Output(options.json === true);
}

export const JSON_OPTION = ["--json", "print JSON, for programs"] as const;
const HUB_OPTION = ["--hub <url>", "address of the Operator (default: CODEZ_HUB, or the one set up here)"] as const;

/** Adds the two options that most commands share. */
export function withHub(command: Command): Command {
  return command.option(...HUB_OPTION).option(...JSON_OPTION);
}
