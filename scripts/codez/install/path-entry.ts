import {
  existsSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { homedir } from "node:os";
import { delimiter, dirname, join } from "node:path";
import { LAUNCHER, quoted } from "./launcher.ts";

/** Ends the line that is added to a shell's start file, so that it is found again. */
const MARK = "# added by codez";

/** What makes a terminal find `codez`: a link in a folder that is on the PATH, or a line in the shell's start file. */
export type PathEntry = { readonly kind: "link" | "line"; readonly path: string };

type Surroundings = { readonly env: NodeJS.ProcessEnv; readonly home: string };

function here(): Surroundings {
  return { env: process.env, home: process.env["HOME"] || homedir() };
}

/**
 * Makes `codez` findable in new terminals. A personal folder that is on the PATH already gets a link, which also works in the
 * terminal that is open. Otherwise the shell's start file gets one line. Doing it again changes nothing.
 */
export function addToPath(command: string, { env, home }: Surroundings = here()): PathEntry {
  const personal = personalFolders(home).find((folder) => pathOf(env).includes(folder));
  const link = personal === undefined ? null : join(personal, LAUNCHER);
  if (link !== null && (isOurs(link, command) || !existsSync(link))) {
    mkdirSync(dirname(link), { recursive: true });
    if (!isOurs(link, command)) symlinkSync(command, link);
    return { kind: "link", path: link };
  }
  const [file = join(home, ".profile")] = startFiles(env, home);
  const text = existsSync(file) ? readFileSync(file, "utf8") : "";
  if (!text.includes(MARK)) {
    mkdirSync(dirname(file), { recursive: true });
    const gap = text === "" || text.endsWith("\n") ? "" : "\n";
    writeFileSync(file, `${text}${gap}${lineFor(file, dirname(command))}\n`);
  }
  return { kind: "line", path: file };
}

/** Takes back what `addToPath` did, whichever shell is in use now. Returns what was removed. */
export function removeFromPath(command: string, { env, home }: Surroundings = here()): PathEntry[] {
  const links = personalFolders(home)
    .map((folder) => join(folder, LAUNCHER))
    .filter((link) => isOurs(link, command));
  for (const link of links) rmSync(link);
  const files = new Set([...startFiles(env, home), ...everyStartFile(home)]);
  const lines = [...files].filter((file) => existsSync(file) && readFileSync(file, "utf8").includes(MARK));
  for (const file of lines) {
    const kept = readFileSync(file, "utf8")
      .split("\n")
      .filter((line) => !line.endsWith(MARK))
      .join("\n");
    if (kept === "") rmSync(file);
    else writeFileSync(file, kept);
  }
  return [
    ...links.map((path) => ({ kind: "link", path }) as const),
    ...lines.map((path) => ({ kind: "line", path }) as const),
  ];
}

function pathOf(env: NodeJS.ProcessEnv): string[] {
  return (env["PATH"] ?? "").split(delimiter);
}

function personalFolders(home: string): string[] {
  return [join(home, ".local", "bin"), join(home, "bin")];
}

/** Whether this is the link that `addToPath` makes. A file of that name that somebody else put there is left alone. */
function isOurs(link: string, command: string): boolean {
  return lstatSync(link, { throwIfNoEntry: false })?.isSymbolicLink() === true && readlinkSync(link) === command;
}

/** The file that the person's shell reads in each new terminal. */
function startFiles(env: NodeJS.ProcessEnv, home: string): string[] {
  const shell = env["SHELL"] ?? "";
  if (shell.endsWith("/zsh")) return [join(env["ZDOTDIR"] || home, ".zshrc")];
  if (shell.endsWith("/fish")) return [join(home, ".config", "fish", "conf.d", "codez.fish")];
  // macOS starts bash as a login shell in each terminal, which reads this file instead.
  if (shell.endsWith("/bash")) return [join(home, process.platform === "darwin" ? ".bash_profile" : ".bashrc")];
  return [join(home, ".profile")];
}

function everyStartFile(home: string): string[] {
  const names = [".zshrc", ".bashrc", ".bash_profile", ".profile", ".config/fish/conf.d/codez.fish"];
  return names.map((name) => join(home, name));
}

function lineFor(file: string, folder: string): string {
  if (file.endsWith(".fish")) return `fish_add_path ${quoted(folder)} ${MARK}`;
  return `export PATH=${quoted(folder)}:"$PATH" ${MARK}`;
}
