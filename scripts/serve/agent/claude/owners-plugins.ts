import { join } from "node:path";
import * as z from "zod";
import { parseJson } from "#protocol/json.ts";
import { isMissing } from "../../../system/is-missing.ts";
import { readRegularFile } from "../../../system/regular-file.ts";
import { claudeHome } from "../../home.ts";

/** Both files are a few kilobytes. */
const MAX_BYTES = 4 * 1024 * 1024;

const Settings = z.looseObject({ enabledPlugins: z.record(z.string(), z.unknown()) });
const Installed = z.looseObject({ plugins: z.record(z.string(), z.unknown()) });

/**
 * The plugins, as `name@marketplace`, that the owner's own settings name, and those that are installed: Claude Code reads settings in
 * more encodings than this does.
 *
 * @throws a system error if a file is there and cannot be read: Claude Code might read it a moment later
 */
export async function ownersPlugins(): Promise<string[]> {
  const settings = Settings.safeParse(await readJson("settings.json")).data?.enabledPlugins ?? {};
  const installed = Installed.safeParse(await readJson("plugins/installed_plugins.json")).data?.plugins ?? {};
  return [...new Set([...Object.keys(settings), ...Object.keys(installed)])];
}

/** `undefined` if there is no such file, or it is no JSON. */
async function readJson(name: string): Promise<unknown> {
  try {
    const { text } = await readRegularFile(join(claudeHome(), name), MAX_BYTES);
    return parseJson(text.replace(/^\uFEFF/, ""));
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
}
