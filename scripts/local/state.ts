import { access, constants, mkdir } from "node:fs/promises";
import { dirname, join } from "node:path";

/** Paths of everything that a local Operator stores. */
export interface State {
  readonly folder: string;
  readonly lock: string;
  readonly log: string;
  readonly secrets: string;
  /** Dispatch namespaces, machine scripts and their storage. */
  readonly platform: string;
  /** The control API's Durable Objects. */
  readonly control: string;
  /**
   * Bundles of the two Workers, reused while their sources are unchanged. OPERATOR_BUNDLES names another folder, so that
   * several state folders share them. The packed program brings its own.
   */
  readonly bundles: string;
}

/** Creates the state folder if needed, readable by its owner only, and returns the paths in it. */
export async function openState(folder: string): Promise<State> {
  await mkdir(folder, { recursive: true, mode: 0o700 }).catch(async (error: unknown) => {
    // On a read-only disk Node says ENOENT of a folder that is not there yet. Asking for the parent says why.
    await access(await existingParent(folder), constants.W_OK).catch((reason: unknown) => {
      throw reason instanceof Error ? Object.assign(reason, { path: folder }) : reason;
    });
    throw error;
  });
  return {
    folder,
    lock: join(folder, "lock.json"),
    log: join(folder, "operator.log"),
    secrets: join(folder, "secrets.json"),
    platform: join(folder, "platform"),
    control: join(folder, "control"),
    bundles: process.env["OPERATOR_BUNDLES"] || join(folder, "bundles"),
  };
}

/** The nearest folder above that exists. */
async function existingParent(folder: string): Promise<string> {
  const parent = dirname(folder);
  const isThere = await access(parent).then(
    () => true,
    () => false,
  );
  return isThere || parent === folder ? parent : existingParent(parent);
}
