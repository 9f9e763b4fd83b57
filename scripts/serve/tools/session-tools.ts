import { CODING_TOOLS } from "#protocol/coding-tools.ts";
import { ServeFailure } from "../error.ts";
import type { Machine } from "../machine.ts";
import { defineTool, type Tool } from "../mcp/tool.ts";
import { promptOf } from "./input.ts";

const NO_FOLDER =
  'create_session needs "slug" (a project, from list_projects) or "cwd" (the absolute path of a folder to work in).';

export function sessionTools(machine: Machine): Tool[] {
  const { outcomes, policy, projects, sessions } = machine;

  /** The folder that a caller gave by its path or by its project's slug. */
  async function folderOf(slug: string | undefined, cwd: string | undefined): Promise<string> {
    if (cwd !== undefined) return cwd;
    if (slug === undefined) throw new ServeFailure({ code: "arguments_invalid", detail: NO_FOLDER });
    const project = await projects.find(slug);
    if (project?.path == null) throw new ServeFailure({ code: "project_unknown", project: slug });
    return project.path;
  }

  const create = defineTool(CODING_TOOLS.create_session, async (input) =>
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
  );

  const fork = defineTool(CODING_TOOLS.fork_session, async ({ session_id: session }) => {
    await policy.mayDrive((await sessions.where(session)).cwd);
    const made = await sessions.fork(session);
    return { session_id: made.id, forked_from: session, slug: made.slug, cwd: made.cwd };
  });

  const abort = defineTool(CODING_TOOLS.abort_session, async ({ session_id: session }) => {
    await policy.mayDrive((await sessions.where(session)).cwd);
    const { stopped, dropped } = await sessions.abort(session);
    return { session_id: session, aborted: stopped, dropped_prompts: dropped };
  });

  const dispose = defineTool(CODING_TOOLS.dispose_session, async ({ session_id: session }) => {
    await policy.mayDrive((await sessions.where(session)).cwd);
    return { session_id: session, disposed: await sessions.dispose(session) };
  });

  return [create, fork, abort, dispose];
}
