import type { Place } from "../session/sessions.ts";
import { readHead } from "./head.ts";
import type { SessionFile } from "./session-file.ts";
import { projectSlugOf } from "./project-slug.ts";

/** The working folder of a session in the history: the one that its project's slug is made of, else the first one in its file. */
export async function placeOf({ path, slug }: SessionFile): Promise<Place | null> {
  const folders = (await readHead(path)).flatMap(({ cwd }) => cwd ?? []);
  const cwd = folders.find((folder) => projectSlugOf(folder) === slug) ?? folders[0];
  return cwd === undefined ? null : { cwd, slug };
}
