import * as z from "zod";
import { ServeFailure } from "../error.ts";
import type { Machine } from "../machine.ts";
import { defineTool, type Tool } from "../mcp/tool.ts";
import { Attachments, Key, promptOf, SessionId } from "./input.ts";

/** An alias or a full name; never something that `claude` would take for an option. */
const Model = z.string().regex(/^[a-zA-Z0-9][\w.:/@[\]-]{0,127}$/, "not a model's name");

export function sessionTools(machine: Machine): Tool[] {
  const { outcomes, policy, projects, sessions } = machine;

  /** The folder a caller means by its path, or by its project. */
  async function folderOf(slug: string | undefined, cwd: string | undefined): Promise<string> {
    if (cwd !== undefined) return cwd;
    if (slug === undefined) throw new ServeFailure({ code: "arguments_invalid", detail: "give a slug or a cwd" });
    const project = await projects.find(slug);
    if (project?.path == null) throw new ServeFailure({ code: "project_unknown", project: slug });
    return project.path;
  }

  const create = defineTool({
    name: "create_session",
    title: "Create a session",
    description:
      "Start a new live Claude Code session in a project of this machine and get its session_id. `cwd` is the folder " +
      "it works in; without it, the folder of the project `slug` (list_projects). With `prompt` it begins at once. " +
      "`permission_mode` is capped by the machine's owner; what it asks a person for waits as a permission request.",
    kind: "writes",
    input: z.object({
      slug: z.string().optional().describe("Project, as list_projects names it"),
      cwd: z.string().optional().describe("Absolute path of the folder to work in"),
      model: Model.optional(),
      permission_mode: z.string().optional().describe("plan, dontAsk, default, acceptEdits, auto or bypassPermissions"),
      prompt: z.string().min(1).optional().describe("A first prompt"),
      attachments: Attachments.optional(),
      key: Key.optional(),
    }),
    call: async (input) =>
      outcomes.once(input.key, ["create_session", input], async () => {
        const permissionMode = policy.mayUse(input.permission_mode);
        const cwd = await policy.mayDrive(await folderOf(input.slug, input.cwd));
        const { prompt, attachments } = input;
        const first = prompt === undefined ? null : promptOf(prompt, await policy.mayPrompt(prompt, cwd), attachments);
        const session = await sessions.create({ cwd, model: input.model ?? null, permissionMode });
        const turn = first === null ? null : session.prompt(first);
        const made = { session_id: session.id, slug: session.slug, cwd, permission_mode: permissionMode };
        return turn === null ? made : { ...made, turn_id: turn.id };
      }),
  });

  const fork = defineTool({
    name: "fork_session",
    title: "Fork a session",
    description: "Branch a session: a new live session with the same conversation up to now. The old one goes on.",
    kind: "writes",
    input: z.object({ session_id: SessionId, slug: z.string().optional() }),
    call: async ({ session_id: session }) => {
      await policy.mayDrive((await sessions.where(session)).cwd);
      const made = await sessions.fork(session);
      return { session_id: made.id, forked_from: session, slug: made.slug, cwd: made.cwd };
    },
  });

  const abort = defineTool({
    name: "abort_session",
    title: "Abort the running turn",
    description: "Stop the turn that runs, with the commands it started, and forget the prompts that wait behind it.",
    kind: "destroys",
    input: z.object({ session_id: SessionId }),
    call: async ({ session_id: session }) => {
      await policy.mayDrive((await sessions.where(session)).cwd);
      const { stopped, dropped } = await sessions.abort(session);
      return { session_id: session, aborted: stopped, dropped_prompts: dropped };
    },
  });

  const dispose = defineTool({
    name: "dispose_session",
    title: "End a session's process",
    description: "End a live session and everything it started. Its history stays, and a prompt resumes it.",
    kind: "destroys",
    input: z.object({ session_id: SessionId }),
    call: async ({ session_id: session }) => {
      await policy.mayDrive((await sessions.where(session)).cwd);
      return { session_id: session, disposed: await sessions.dispose(session) };
    },
  });

  return [create, fork, abort, dispose];
}
