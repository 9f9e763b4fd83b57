import { isAbsolute } from "node:path";
import * as z from "zod";
import { expandHome } from "../system/home.ts";
import { PERMISSION_MODES } from "./permission-mode.ts";

/**
 * A folder's path. A relative one would depend on where serve was started: for a service that is `/`, so that `.` in `drive` or
 * `trust` would open the whole computer.
 */
const Folder = z
  .string()
  .refine((path) => isAbsolute(path) || path === "~" || path.startsWith("~/"), "write a whole path, from / or ~/ on")
  .refine((path) => !path.includes("\0"), "no path contains the character NUL")
  .transform(expandHome);
const Mode = z.enum(PERMISSION_MODES);

/**
 * The policy of this machine: `serve.json`, written by its owner. This is the only place that names its settings and their defaults;
 * `policy.md` explains each, and a test compares the two. Every key is optional. An unknown key is an error.
 */
export const ServeConfig = z.strictObject({
  /** Where MCP is served, on 127.0.0.1 only. */
  port: z.int().min(0).max(65_535).default(4097),
  /** Folders that are searched for git repositories. Projects in which Claude Code has been used are found without this. */
  projects: z.array(Folder).default([]),
  /** Folders, with everything below them, in which remote clients may start sessions. Default: every known project. */
  drive: z.array(Folder).optional(),
  /** Sessions can be listed, read and searched, and nothing else. */
  readOnly: z.boolean().default(false),
  /** The highest mode that `create_session` may ask for. */
  maxPermissionMode: Mode.default("default"),
  /** The mode of a session that asks for none. */
  defaultPermissionMode: Mode.default("default"),
  /**
   * Commands of Claude Code (`compact`, `review`, a project's own) that a prompt may begin with, without the slash.
   * Every other prompt is text. Some commands change the owner's settings (`config`) or run what a repository wrote.
   */
  commands: z.array(z.string().regex(/^[a-z0-9_][a-z0-9_:.-]*$/, "a command's name, without the slash")).default([]),
  /**
   * Folders whose own Claude Code settings, hooks, MCP servers and instructions are loaded, with all below them, besides
   * those that the owner accepted in Claude Code's own trust dialog.
   */
  trust: z.array(Folder).default([]),
  /** Whether an MCP client may answer permission requests; a list names the project folders where it may. */
  respondPermission: z.union([z.boolean(), z.array(Folder)]).default(false),
  /** Whether a person who has signed in to Operator may answer on its pages. */
  answerOnPages: z.boolean().default(true),
  /** Whether the agent may ask questions and wait for the answers. */
  questions: z.boolean().default(true),
  /** A request that nobody answers is denied after this. */
  permissionTimeoutMinutes: z
    .number()
    .positive()
    .max(7 * 24 * 60)
    .default(60),
  /** Agent processes at once; each takes a few hundred megabytes. */
  maxLiveSessions: z.int().min(1).max(100).default(8),
  /** The process of an idle session is ended after this time. The next prompt resumes the session. */
  idleMinutes: z
    .number()
    .positive()
    .max(7 * 24 * 60)
    .default(30),
  /** The Claude Code executable: a name on the PATH or a path. */
  claude: z
    .string()
    .min(1)
    .refine((command) => !command.includes("\0"), "no path contains the character NUL")
    .default("claude"),
});
export type ServeConfig = z.infer<typeof ServeConfig>;

/**
 * The policy while `serve.json` is invalid: what the last valid one said, less everything that lets a remote client do anything but
 * read. Nobody can know what the owner was about to forbid.
 */
export function closed(last: ServeConfig): ServeConfig {
  return {
    ...last,
    readOnly: true,
    drive: [],
    commands: [],
    trust: [],
    respondPermission: false,
    answerOnPages: false,
  };
}
