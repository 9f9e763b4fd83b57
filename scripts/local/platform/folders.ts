import { join } from "node:path";
import { subfolders } from "./namespace.ts";

/** The folders of namespaces in a platform's `stateDir`. */
export async function namespaceFolders(stateDir: string): Promise<string[]> {
  const folder = join(stateDir, "namespaces");
  return (await subfolders(folder)).map((name) => join(folder, name));
}

/** The folders of all their scripts. */
export async function scriptFolders(stateDir: string): Promise<string[]> {
  const folders = (await namespaceFolders(stateDir)).map((folder) => join(folder, "scripts"));
  const names = await Promise.all(
    folders.map(async (folder) => (await subfolders(folder)).map((name) => join(folder, name))),
  );
  return names.flat();
}
