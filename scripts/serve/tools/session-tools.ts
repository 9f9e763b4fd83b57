import { CODING_TOOLS } from "#protocol/coding-tools.ts";
import { ServeFailure } from "../error.ts";
import type { Machine } from "../machine.ts";
import { defineTool, type Tool } from "../mcp/tool.ts";
import type { Place } from "../session/sessions.ts";
import { wasTaken } from "../history/taken-prompt.ts";
import { promptOf, tellEnd } from "./input.ts";

const NO_FOLDER =
  'create_session needs "slug" (a project, from list_projects) or "cwd" (the absolute path of a folder to work in).';

export function sessionTools(machine: Machine): Tool[] {
  const { outcomes, policy, projects, projectsFolder, sessions } = machine;

  /** The folder that a caller gave by its path or by its project's slug. */
  async function folderOf(slug: string | undefined, cwd: string | undefined): Promise<string> {
    if (cwd !== undefined) return cwd;
    if (slug === undefined) throw new ServeFailure({ code: "arguments_invalid", detail: NO_FOLDER });
    const project = await projects.find(slug);
    if (project?.path == null) throw new ServeFailure({ code: "project_unknown", project: slug });
    return project.path;
  }

  /** Where a session works that a call with the same key has made; `null` if none did. */
  async function madeBefore(session: string): Promise<Place | null> {
    return sessions.where(session).catch((error: unknown) => {
      if (error instanceof ServeFailure && error.error.code === "session_unknown") return null;
      throw error;
    });
  }

  const create = defineTool(CODING_TOOLS.create_session, async (input) =>
    outcomes.once(input.key, ["create_session", input], {
      run: async (ids, ended) => {
        const permissionMode = policy.mayUse(input.permission_mode);
        const cwd = await policy.mayDrive(await folderOf(input.slug, input.cwd));
        const { prompt, attachments } = input;
        const nature = prompt === undefined ? null : await policy.mayPrompt(prompt, cwd);
        const first = prompt === undefined || nature === null ? null : promptOf(prompt, nature, attachments, ids.turn);
        const made = await madeBefore(ids.session);
        const session =
          made ?? (await sessions.create({ session: ids.session, cwd, model: input.model ?? null, permissionMode }));
        const about = {
          session_id: ids.session,
          slug: session.slug,
          cwd: session.cwd,
          permission_mode: permissionMode,
        };
        if (first === null) return about;
        const { turn } = await sessions.prompt(ids.session, first);
        tellEnd(turn, ended);
        return { ...about, turn_id: turn.id };
      },
      // The session of an earlier run is used, if it was made; its first prompt is sent unless the agent had taken it.
      recall: async ({ session, turn }, answer) => {
        if ((await madeBefore(session)) === null) return null;
        const made = answer ?? { session_id: session, ...(await sessions.where(session)) };
        if (input.prompt === undefined) return made;
        const isTaken = await wasTaken(projectsFolder, session, turn);
        return isTaken ? { ...made, turn_id: turn, status: "taken" } : null;
      },
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
