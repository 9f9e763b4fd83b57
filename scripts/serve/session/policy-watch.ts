import { realpath } from "node:fs/promises";
import type { ConfigFile } from "../config-file.ts";
import type { ServeConfig } from "../config.ts";
import { explain, ServeFailure } from "../error.ts";
import { isAbove } from "../permission-mode.ts";
import type { Policy } from "../policy.ts";
import { isBelow } from "../../system/folder.ts";
import type { LiveSession } from "./live-session.ts";
import type { Sessions } from "./sessions.ts";

/** How often it is looked whether the policy has changed: one `stat`. An owner who forbids something sees it end at once. */
const LOOK_MS = 1_000;

export interface PolicyWatchOptions {
  readonly config: ConfigFile;
  readonly policy: Policy;
  readonly sessions: Sessions;
  readonly onError: (error: Error) => void;
}

/**
 * Applies a changed policy to what is already there. The tools ask the policy when a prompt arrives; without this a turn of hours, and
 * the prompts that wait behind it, would go on under a policy that its owner has replaced. Each session knows the policy that it has, so
 * that what changes while its agent starts, or is wrong for a while, counts as well.
 *
 * - A session that the new policy forbids (its folder, its mode, all writing, or settings of its folder that it was started with) ends,
 *   with its turn and its queue. Its next prompt resumes it, if it is allowed.
 * - A waiting prompt that is no longer allowed is dropped. The others stay.
 * - While the file is not right, waiting prompts are dropped and nothing is broken off: a slip of the pen must not cost hours of work.
 *
 * The returned function ends that.
 */
export function watchPolicy({ config, policy, sessions, onError }: PolicyWatchOptions): () => void {
  let isAtWork = false;
  const timer = setInterval(() => {
    const now = config.current;
    const others = sessions.all().filter((session) => session.config !== now);
    if (others.length === 0 || isAtWork) return;
    isAtWork = true;
    Promise.all(others.map((session) => apply(session, now)))
      .catch(onError)
      .finally(() => {
        isAtWork = false;
      });
  }, LOOK_MS);
  timer.unref();
  return () => clearInterval(timer);

  async function apply(session: LiveSession, now: ServeConfig): Promise<void> {
    const isValid = config.problem === null;
    const why = isValid ? await whyForbidden(session, now) : null;
    // The file changed again while this was found out, perhaps by a slip. The next look decides.
    if (config.current !== now) return;
    if (why !== null) {
      session.announce(`serve.json was changed, and no longer allows this session: ${why}`);
      await session.end();
      return;
    }
    await session.dropForbidden(async ({ text }) => {
      try {
        policy.mayWrite();
        await policy.mayPrompt(text, session.cwd);
        return null;
      } catch (error) {
        if (error instanceof ServeFailure) return error;
        throw error;
      }
    });
    if (isValid) session.config = now;
  }

  async function whyForbidden(session: LiveSession, now: ServeConfig): Promise<string | null> {
    try {
      await policy.mayDrive(session.cwd);
    } catch (error) {
      if (error instanceof ServeFailure) return explain(error.error).message;
      throw error;
    }
    if (isAbove(session.permissionMode, now.maxPermissionMode))
      return `its mode ${session.permissionMode} is above maxPermissionMode, ${now.maxPermissionMode}`;
    const { trust } = session.config;
    const wasTrusted = (await isBelowAny(session.cwd, trust)) && !(await isBelowAny(session.cwd, now.trust));
    return wasTrusted ? "it was started with the settings of its folder, which is no longer listed in trust" : null;
  }
}

async function isBelowAny(path: string, folders: readonly string[]): Promise<boolean> {
  const real = await Promise.all(folders.map((folder) => realpath(folder).catch(() => null))); // a folder that is not there
  return real.some((folder) => folder !== null && isBelow(path, folder));
}
