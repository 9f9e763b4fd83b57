import { access, chmod, constants, lstat, mkdir, readdir, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { whyNotOwn } from "../system/own-path.ts";
import { isOfOthers } from "../system/trusted-file.ts";

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

/** Mode bits: the group or others may write; the sticky bit of a folder that is meant for everybody, such as /tmp. */
const OTHERS_WRITE = 0o022;
const STICKY = 0o1000;

/**
 * Creates the state folder if needed, readable by its owner only, and returns the paths in it.
 * @throws Error that says what to do, when somebody else could replace what is in it
 */
export async function openState(folder: string): Promise<State> {
  await mkdir(folder, { recursive: true, mode: 0o700 }).catch(async (error: unknown) => {
    // On a read-only disk Node says ENOENT of a folder that is not there yet. Asking for the parent says why.
    await access(await existingParent(folder), constants.W_OK).catch((reason: unknown) => {
      throw reason instanceof Error ? Object.assign(reason, { path: folder }) : reason;
    });
    throw error;
  });
  await closeToOthers(folder);
  const state = stateIn(folder);
  // Bundles are what runs.
  for (const [used, variable] of [
    [folder, "OPERATOR_STATE"],
    [state.bundles, "OPERATOR_BUNDLES"],
  ] as const) {
    const why = whyNotOwn(used);
    if (why !== null)
      throw new Error(`${used} is not used: ${why}. Correct that, or choose another folder with ${variable}.`);
  }
  return state;
}

/** The paths in a state folder, whether or not it is there. */
export function stateIn(folder: string): State {
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

/**
 * Makes sure that nobody else may write to the folder. Its files are private, but anyone who may write to a folder may replace them all:
 * with secrets of their own they would be Operator's owner. It is closed if it is ours and empty, or Operator's already. A folder of
 * others, or one that is used for other things, is refused rather than changed, and so is one in which others have put something. Root's is as
 * good as ours.
 */
async function closeToOthers(folder: string): Promise<void> {
  const user = process.getuid?.();
  if (user === undefined) return; // Windows has no such modes; the folder is inside the user's profile
  const { uid, mode } = await stat(folder);
  if (uid !== user && uid !== 0)
    throw new Error(
      `${folder} belongs to another user (${uid}): run Operator as that user, or name a folder of your own`,
    );
  if ((mode & OTHERS_WRITE) !== 0) {
    const names = await readdir(folder);
    const isForState = (mode & STICKY) === 0 && (names.length === 0 || names.includes("secrets.json"));
    if (uid !== user || !isForState)
      throw new Error(
        `other users may replace what is in ${folder}: run chmod 700 on it, or name a folder of your own`,
      );
    await chmod(folder, 0o700);
  }
  // Not before it is closed: while others may write to it, they can make what looks like Operator's.
  for (const name of await readdir(folder)) {
    const path = join(folder, name);
    const owner = await lstat(path).then(
      (entry) => entry.uid,
      () => user, // its program has just removed it: a draft, or the lock
    );
    if (isOfOthers(owner))
      throw new Error(
        `${path} belongs to another user (${owner}): make it yours (chown) if you know what it is, or remove it, or name a folder of your own`,
      );
  }
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
