import { readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { isMissing } from "../system/is-missing.ts";
import { placesOf, removeAbandoned } from "./backup/copies-folder.ts";
import { isDraft } from "./file.ts";
import { namespaceFolders, scriptFolders } from "./platform/folders.ts";
import { isDraftOfBackup } from "./release.ts";
import { stateIn } from "./state.ts";
import type { Report } from "./workerd/supervisor.ts";

/**
 * Removes what killed processes have left of a state folder's secrets, in it and beside it. For whoever holds the folder's lock: the drafts in it
 * are then nobody's.
 */
export async function removeLeftovers(stateDir: string, report: Report): Promise<void> {
  for (const path of placesOf(stateDir).flatMap((place) => removeAbandoned(place).removed))
    report(`removed ${path}, which a killed backup or upgrade had left`);
  await removeFiles(join(stateDir, "backups"), isDraftOfBackup);
  const { platform } = stateIn(stateDir);
  for (const folder of [stateDir, ...(await namespaceFolders(platform)), ...(await scriptFolders(platform))])
    await removeFiles(folder, isDraft);
}

async function removeFiles(folder: string, isLeft: (name: string) => boolean): Promise<void> {
  const entries = await readdir(folder, { withFileTypes: true }).catch((reason: unknown) => {
    if (isMissing(reason)) return []; // nothing was stored there yet
    throw reason;
  });
  for (const entry of entries)
    if (entry.isFile() && isLeft(entry.name)) await rm(join(entry.parentPath, entry.name), { force: true });
}
