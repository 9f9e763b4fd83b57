import { existsSync, readdirSync, rmdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { Command } from "commander";
import { codezHome } from "../../system/home.ts";
import { holderOf } from "../../system/lock.ts";
import { isSure } from "../ask.ts";
import { ExitCode } from "../exit-code.ts";
import { CodezFailure } from "../failure.ts";
import { Installation } from "../install/installation.ts";
import { removeFromPath } from "../install/path-entry.ts";
import type { ProfileFolder } from "../profile/profile-folder.ts";
import { Service } from "../service/service.ts";
import { keptHubs } from "../sign-in/kept-sign-in.ts";
import { leave } from "../sign-in/sign-in.ts";
import { type Context, JSON_OPTION, outputOf } from "./context.ts";

/** What codez itself keeps in its folder, apart from the profiles: `codez serve`'s settings and state, and sign-ins. */
const OWN = ["serve", "serve.json", "sign-ins"] as const;

type Options = { yes?: boolean; json?: boolean; keepProfiles?: boolean };

/** `codez uninstall`: removes codez from this computer, and says what it leaves. */
export function uninstallCommand({ folder }: Context): Command {
  return new Command("uninstall")
    .description("remove codez from this computer: services, program, PATH entry, and the profiles after asking")
    .option("--keep-profiles", "keep the profiles and settings, to set codez up again later")
    .option("--yes", "do not ask")
    .option(...JSON_OPTION)
    .action(async (options: Options) => {
      const output = outputOf(options);
      const installation = new Installation();
      const profiles = folder.names();
      const machines = machinesIn(folder);
      const command = `codez uninstall --yes${options.keepProfiles === true ? " --keep-profiles" : ""}`;
      const question = `Remove codez from this computer (services, ${installation.folder}, PATH entry)?`;
      if (!(await isSure(question, options, command))) return;
      const goes =
        options.keepProfiles !== true &&
        (await isSure(
          `Remove the profiles as well (${profiles.join(", ") || "none"}), with settings and sign-ins?`,
          options,
          command,
        ));

      const done: string[] = [];
      for (const key of profiles) done.push(...(await new Service(key).uninstall()));
      refuseWhileConnected(folder);
      for (const { kind, path } of removeFromPath(installation.command))
        done.push(kind === "link" ? `removed ${path}` : `removed codez's line from ${path}`);
      if (existsSync(installation.folder)) done.push(`removed ${installation.folder}`);
      installation.remove();
      if (goes) done.push(...(await removeProfiles(folder)));
      const left = whatIsLeft(goes ? machines : []);
      output.result({ removed: done, left }, [
        ...(done.length === 0 ? ["There was nothing to remove."] : done),
        ...left,
      ]);
    });
}

/** A connector that somebody runs in a terminal has its profile open. The services have been stopped by now. */
function refuseWhileConnected(folder: ProfileFolder): void {
  for (const key of folder.names()) {
    const holder = holderOf(folder.file(key, ".lock"));
    if (holder === null) continue;
    throw new CodezFailure(
      ExitCode.ALREADY_CONNECTED,
      `A connector for "${key}" still runs on this computer (process ${holder.pid}).`,
      `kill ${holder.pid}, then: codez uninstall`,
    );
  }
}

async function removeProfiles(folder: ProfileFolder): Promise<string[]> {
  const home = codezHome();
  const done: string[] = [];
  for (const hub of keptHubs()) if (await leave(hub)) done.push(`signed out at ${hub}`);
  const logs = folder.names().map((key) => `${key}.log`);
  for (const name of ["machines", ...OWN, ...logs]) {
    const path = join(home, name);
    if (!existsSync(path)) continue;
    rmSync(path, { recursive: true });
    done.push(`removed ${path}`);
  }
  return done;
}

function machinesIn(folder: ProfileFolder): { name: string; hub: string }[] {
  return folder.names().flatMap((key) => {
    try {
      const profile = folder.read(key);
      return profile === null ? [] : [{ name: profile.name, hub: profile.hub }];
    } catch {
      return []; // a broken profile names no machine, and is removed like the others
    }
  });
}

/** What stays, as sentences. The folder itself goes when nothing is left in it. */
function whatIsLeft(machines: readonly { name: string; hub: string }[]): string[] {
  const home = codezHome();
  const files = existsSync(home) ? readdirSync(home) : [];
  if (files.length === 0 && existsSync(home)) rmdirSync(home);
  return [
    ...(files.length === 0 ? [] : [`Left in ${home}: ${files.sort().join(", ")}`]),
    ...machines.map(
      ({ name, hub }) => `"${name}" is still in the list of machines at ${hub}, offline. You can remove it there.`,
    ),
  ];
}
