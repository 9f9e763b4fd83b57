import { realpath, stat } from "node:fs/promises";
import type { ServeConfig } from "./config.ts";
import { ServeFailure } from "./error.ts";
import { atMost, isAbove, parsePermissionMode, PERMISSION_MODES, type PermissionMode } from "./permission-mode.ts";
import type { Project } from "./project/projects.ts";
import { commandOf, isPlainCommand } from "./prompt/command.ts";
import { mentionsIn, outsideMention } from "./prompt/mention.ts";
import { isBelow } from "../system/folder.ts";

/** What the machine's owner allows remote clients to do. Every tool that changes something asks it, on the machine itself. */
export class Policy {
  readonly #config: () => ServeConfig;
  readonly #projects: (isFresh: boolean) => Promise<readonly Project[]>;

  constructor(config: () => ServeConfig, projects: (isFresh: boolean) => Promise<readonly Project[]>) {
    this.#config = config;
    this.#projects = projects;
  }

  /** Throws ServeFailure `read_only`. */
  mayWrite(): void {
    if (this.#config().readOnly) throw new ServeFailure({ code: "read_only" });
  }

  /**
   * The real path of a folder in which a session may work.
   * Throws ServeFailure `read_only`, `folder_missing`, `project_not_allowed`.
   */
  async mayDrive(folder: string): Promise<string> {
    this.mayWrite();
    return this.mayReadFiles(folder);
  }

  /**
   * The real path of a folder whose files may be read: the same folders, but also on a machine that is read-only.
   * Throws ServeFailure `folder_missing`, `project_not_allowed`.
   */
  async mayReadFiles(folder: string): Promise<string> {
    const real = await realFolder(folder);
    if (real === null) throw new ServeFailure({ code: "folder_missing", folder });
    if (!(await this.#isAllowed(real))) throw new ServeFailure({ code: "project_not_allowed", folder });
    return real;
  }

  /** The mode of a new session. Throws ServeFailure `permission_mode_unknown`, `permission_mode_not_allowed`. */
  mayUse(asked: string | undefined): PermissionMode {
    const { defaultPermissionMode, maxPermissionMode } = this.#config();
    if (asked === undefined) return atMost(defaultPermissionMode, maxPermissionMode);
    const mode = parsePermissionMode(asked);
    if (mode === null)
      throw new ServeFailure({ code: "permission_mode_unknown", mode: asked, known: PERMISSION_MODES });
    if (isAbove(mode, maxPermissionMode)) {
      throw new ServeFailure({ code: "permission_mode_not_allowed", mode: asked, highest: maxPermissionMode });
    }
    return mode;
  }

  /**
   * A remote client's prompt must be text. If the agent would interpret it as a command, it is accepted only when the owner's
   * configuration lists that command. If it mentions a file outside its project, it is refused. Returns whether it is a command.
   * Throws ServeFailure `command_not_allowed`, `mention_outside`.
   */
  async mayPrompt(text: string, cwd: string): Promise<{ isCommand: boolean }> {
    const command = commandOf(text);
    if (command !== null && !(this.#config().commands.includes(command) && isPlainCommand(text, command))) {
      throw new ServeFailure({ code: "command_not_allowed", command });
    }
    const mentions = mentionsIn(text);
    if (mentions === null) {
      throw new ServeFailure({
        code: "arguments_invalid",
        detail: "the prompt has too many @ signs; write paths without them",
      });
    }
    const outside = await outsideMention(mentions, (await realFolder(cwd)) ?? cwd);
    if (outside !== null) throw new ServeFailure({ code: "mention_outside", path: outside, folder: cwd });
    return { isCommand: command !== null };
  }

  /** Whether an MCP client may answer the requests of a session that works in this folder. */
  async mayApprove(folder: string): Promise<boolean> {
    const { respondPermission, readOnly } = this.#config();
    if (readOnly) return false;
    if (typeof respondPermission === "boolean") return respondPermission;
    const real = await realFolder(folder);
    return real !== null && (await isBelowAny(real, respondPermission));
  }

  /** Whether a person may answer on a page of Operator. */
  mayAnswerOnPages(): boolean {
    const { answerOnPages, readOnly } = this.#config();
    return answerOnPages && !readOnly;
  }

  async #isAllowed(real: string): Promise<boolean> {
    const { drive } = this.#config();
    if (drive !== undefined) return isBelowAny(real, drive);
    return (await this.#isKnown(real, false)) || this.#isKnown(real, true);
  }

  async #isKnown(real: string, isFresh: boolean): Promise<boolean> {
    for (const { path, isRepo } of await this.#projects(isFresh)) {
      if (path === null) continue;
      const known = await realFolder(path);
      // Everything below a repository is that project. Below another folder it need not be: somebody who once started
      // Claude Code in their home directory has not opened everything in it.
      if (known === real || (known !== null && isRepo && isBelow(real, known))) return true;
    }
    return false;
  }
}

/** The folder with links resolved, so that a link cannot lead out of the allowed folders; `null` when it does not exist. */
async function realFolder(folder: string): Promise<string | null> {
  try {
    const real = await realpath(folder);
    return (await stat(real)).isDirectory() ? real : null;
  } catch {
    // Missing, a dangling link or not readable: a remote caller is told the same for all three.
    return null;
  }
}

async function isBelowAny(real: string, folders: readonly string[]): Promise<boolean> {
  for (const folder of folders) {
    const allowed = await realFolder(folder);
    if (allowed !== null && isBelow(real, allowed)) return true;
  }
  return false;
}
