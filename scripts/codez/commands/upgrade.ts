import { execFile } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { Command } from "commander";
import { holderOf } from "../../system/lock.ts";
import { ExitCode } from "../exit-code.ts";
import { CodezFailure } from "../failure.ts";
import { hubOf } from "../find-operator.ts";
import { fetchBuild } from "../install/fetch-build.ts";
import { type Build, Installation } from "../install/installation.ts";
import type { ProfileFolder } from "../profile/profile-folder.ts";
import { Service } from "../service/service.ts";
import { type Context, outputOf, withHub } from "./context.ts";

/** A start of codez takes a fraction of a second. */
const TRIAL_TIMEOUT_MS = 30_000;

const run = promisify(execFile);

/** `codez upgrade`: replaces the installed codez by the one that its Operator serves, and restarts the services. */
export function upgradeCommand({ folder }: Context): Command {
  return withHub(
    new Command("upgrade").description("replace the installed codez by the one that your Operator serves"),
  ).action(async (options: { hub?: string; json?: boolean }) => {
    const output = outputOf(options);
    const installation = new Installation();
    const { installed } = installation;
    if (installed === null)
      throw new CodezFailure(
        ExitCode.NOT_SET_UP,
        `There is no codez in ${installation.folder}, so there is nothing to upgrade.`,
        "codez up installs it. A codez from npx is the newest by itself.",
      );
    const hub = hubOf(options.hub ?? installed.hub ?? undefined, folder);
    const build = await fetchBuild(hub);
    const { version } = build;
    if (version === installed.version)
      return output.result({ hub, version, upgraded: false }, `codez ${version} is the one that ${hub} serves.`);
    await tryOut(build);
    installation.install(build, hub);
    const lines = [`codez ${installed.version} is replaced by ${version}, from ${hub}.`, ...(await restart(folder))];
    return output.result({ hub, version, from: installed.version, upgraded: true }, lines);
  });
}

/** Starts the new build once, outside the installation. A build that does not run on this computer is not installed. */
async function tryOut({ version, files }: Build): Promise<void> {
  const trial = mkdtempSync(join(tmpdir(), "codez-upgrade-"));
  try {
    for (const [name, content] of files) writeFileSync(join(trial, name), content);
    writeFileSync(join(trial, "package.json"), '{ "type": "module" }\n');
    const program = join(trial, "codez.js");
    const { stdout } = await run(process.execPath, [program, "--version"], { timeout: TRIAL_TIMEOUT_MS });
    if (stdout.trim() !== version) throw new Error(`it says that it is ${stdout.trim()}, and should be ${version}`);
  } catch (reason) {
    throw new CodezFailure(
      ExitCode.REFUSED,
      `The new codez does not run here, so the installed one stays: ${reason instanceof Error ? reason.message : String(reason)}`,
      "Check that Node is recent enough (node --version), then try again.",
      reason,
    );
  } finally {
    rmSync(trial, { recursive: true, force: true });
  }
}

/** Restarts the services. A connector that somebody runs in a terminal is theirs to restart. */
async function restart(folder: ProfileFolder): Promise<string[]> {
  const lines: string[] = [];
  for (const key of folder.names()) {
    const service = new Service(key);
    const holder = holderOf(folder.file(key, ".lock"));
    if (await service.restart()) lines.push(`The service for "${key}" was restarted.`);
    else if (holder !== null) lines.push(`Process ${holder.pid} still connects "${key}" with the old one: restart it.`);
  }
  return lines;
}
