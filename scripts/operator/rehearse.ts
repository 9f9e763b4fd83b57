import { dirname, join } from "node:path";
import * as z from "zod";
import { startOperator } from "../local/operator.ts";
import { stateIn } from "../local/state.ts";
import { backUp } from "../local/backup/backup.ts";
import { CopiesFolder, placesOf, removeAbandoned } from "../local/backup/copies-folder.ts";
import { unpack } from "../local/backup/restore.ts";

/** A machine's script starts within a second; on a busy computer in several. */
const REQUEST_TIMEOUT_MS = 30_000;

/** Machines whose scripts are started in a rehearsal: enough to notice a release that no script survives. */
const MACHINES = 20;

const List = z.object({ machines: z.array(z.object({ name: z.string() })) });
const Detail = z.object({ error: z.nullable(z.object({ message: z.string() })) });

/**
 * Starts this release with a copy of a state folder and asks it for the owner's machines, while the Operator that uses the
 * folder goes on. The copy can reach nothing outside, so it sends nothing twice. Returns the number of machines.
 * @throws Error with what does not work
 */
export async function rehearse(stateDir: string): Promise<{ machines: number }> {
  for (const place of placesOf(stateDir)) removeAbandoned(place);
  using folder = CopiesFolder.make(dirname(stateDir), "rehearsal");
  const backup = join(folder.path, "backup");
  const copy = join(folder.path, "state");
  await backUp(stateDir, backup);
  unpack(backup, copy);
  const lines: string[] = [];
  const note = (line: string): void => void lines.push(line);
  // The bundles that the rehearsal makes are those that the restart needs.
  const { bundles } = stateIn(stateDir);
  const operator = await startOperator({
    stateDir: copy,
    port: 0,
    bundles,
    report: note,
    log: note,
    logOf: () => note,
    offline: true,
  });
  try {
    return await ask(operator.url, operator.ownerToken ?? "");
  } catch (reason) {
    const said = lines.slice(-5).join("\n");
    throw new Error(`${reason instanceof Error ? reason.message : String(reason)}\n${said}`, { cause: reason });
  } finally {
    await operator.stop();
  }
}

async function ask(url: string, token: string): Promise<{ machines: number }> {
  const get = async (path: string): Promise<unknown> => {
    const response = await fetch(new URL(path, url), {
      headers: { authorization: `Bearer ${token}` },
      signal: AbortSignal.timeout(REQUEST_TIMEOUT_MS),
    });
    const text = await response.text();
    if (!response.ok) throw new Error(`GET ${path} answered ${response.status}: ${text}`);
    return JSON.parse(text);
  };
  const { machines } = List.parse(await get("/api/machines"));
  for (const { name } of machines.slice(0, MACHINES)) {
    const { error } = Detail.parse(await get(`/api/machines/${encodeURIComponent(name)}`));
    if (error !== null) throw new Error(`the script of machine "${name}" failed: ${error.message}`);
  }
  return { machines: machines.length };
}
