import {
  existsSync,
  lstatSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  realpathSync,
  type Stats,
  statSync,
} from "node:fs";
import { homedir, userInfo } from "node:os";
import { dirname, join, parse, resolve, sep } from "node:path";
import { isBelow } from "./folder.ts";
import { isOfOthers, OTHERS_ENTER, OTHERS_WRITE } from "./trusted-file.ts";

/** In a folder with this bit, such as /tmp, nobody can replace what belongs to somebody else. */
const STICKY = 0o1000;

const GROUP_WRITES = 0o020;

/** As many links as Linux follows in one path (path_resolution(7)). */
const MAX_LINKS = 40;

/**
 * Why a folder of ours is not used: what to do about it, or `null` if nobody but this user and root can put another one in its place. Who may
 * write to a folder above may rename ours and make one of the same name, and who may replace a link on the way leads us elsewhere. The files
 * of such a folder would be another user's policy, command and program. `sshd` looks in the same way at the folders of a key
 * (`StrictModes`), and as it does, this trusts the folders above the user's home. Windows has no such modes.
 */
export function whyNotOwn(folder: string): string | null {
  if (process.getuid === undefined) return null;
  const home = accountHome();
  let links = 0;
  const look = (path: string): string | null => {
    const { root } = parse(path);
    const names = path.slice(root.length).split(sep).filter(Boolean);
    let at = root;
    let isHidden = false;
    const why = (isOurs: boolean): string | null => {
      const stat = lstatSync(at);
      // Nobody else gets below a folder that only its owner can enter, whatever the modes there.
      isHidden ||= !isOfOthers(stat.uid) && (stat.mode & OTHERS_ENTER) === 0;
      return isHidden ? null : whyReplaceable(at, stat, isOurs);
    };
    for (const [index, name] of names.entries()) {
      const reason = isAbove(at, home) ? null : why(false);
      if (reason !== null) return reason;
      const entry = lstatSync(join(at, name), { throwIfNoEntry: false });
      if (entry === undefined) return null; // it is made in a folder that is ours
      at = join(at, name);
      if (!entry.isSymbolicLink()) continue;
      links += 1;
      if (links > MAX_LINKS) return `${folder} leads through too many links`;
      if (isOfOthers(entry.uid)) return `the link ${at} belongs to another user`;
      return look(join(resolve(dirname(at), readlinkSync(at)), ...names.slice(index + 1)));
    }
    return why(true);
  };
  return look(resolve(folder));
}

/**
 * The same of a folder and those in it. One that somebody else made there, while others could write to it, is theirs also where they cannot enter it
 * any more: they may have it open still.
 */
export function whyNotOwnWithin(folder: string): string | null {
  const why = whyNotOwn(folder);
  if (why !== null || process.getuid === undefined || !existsSync(folder)) return why;
  for (const name of readdirSync(folder)) {
    const path = join(folder, name);
    const entry = lstatSync(path, { throwIfNoEntry: false });
    if (entry === undefined || !(entry.isDirectory() || entry.isSymbolicLink())) continue;
    if (isOfOthers(entry.uid)) return theirs(path);
    const within = isFolder(path) ? whyNotOwn(path) : null;
    if (within !== null) return within;
  }
  return null;
}

/** A link that leads nowhere is no folder; whoever needs what it stands for says so. */
function isFolder(path: string): boolean {
  try {
    return statSync(path).isDirectory();
  } catch {
    return false;
  }
}

function theirs(folder: string): string {
  return `${folder} belongs to another user`;
}

/** @param isOurs whether it is the folder itself, in which nobody else may make anything */
function whyReplaceable(folder: string, { uid, gid, mode }: Stats, isOurs: boolean): string | null {
  if (isOfOthers(uid)) return theirs(folder);
  const writers = mode & OTHERS_WRITE;
  const isWritable = writers === GROUP_WRITES ? !isOwnGroup(gid) : writers !== 0;
  const isOpen = isWritable && (isOurs || (mode & STICKY) === 0);
  return isOpen ? `other users may write to ${folder} (chmod go-w ${folder})` : null;
}

/** The group of root, in which nobody else is. Where containers get users of random numbers, this is the group of all of them (OpenShift). */
const ROOT_GROUP = 0;

/**
 * Whether nobody else is in a group: many systems give each user a group of their own name, and let it write what they make (umask 002).
 * Debian's sshd allows the same.
 */
function isOwnGroup(gid: number): boolean {
  if (gid === ROOT_GROUP) return true;
  try {
    return isAloneIn(readFileSync("/etc/group", "utf8"), gid, userInfo().username);
  } catch {
    return false; // no such file or account, so nobody says who is in it
  }
}

/** Whether a group of this file has the user's name and no other member. */
export function isAloneIn(groups: string, gid: number, username: string): boolean {
  const entries = groups.split("\n").map((line) => line.split(":"));
  const [name, , , members = ""] = entries.find(([, , id]) => id === String(gid)) ?? [];
  return name === username && members.split(",").every((member) => member === "" || member === username);
}

function isAbove(folder: string, home: string): boolean {
  return folder !== home && isBelow(home, folder);
}

/** The user's home folder according to the system. `HOME` may name any folder. */
function accountHome(): string {
  try {
    return realpathSync(userInfo().homedir);
  } catch {
    return homedir(); // the user of a container may have no account, or an account no folder
  }
}
