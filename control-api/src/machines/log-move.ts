import * as z from "zod/mini";
import { LoggedEvent, type LogPosition } from "#protocol/event.ts";
import { LogNumbers, ScriptPath } from "#protocol/script-api.ts";
import { machineState } from "./machine-state.ts";
import { askMachine, type DispatchBindings, postToMachine } from "./script-client.ts";

/** Time limit for copying a log. The largest is about 20 MB, which takes seconds to read and write. Milliseconds. */
const MOVE_TIMEOUT_MS = 60_000;

const LogPage = z.array(LoggedEvent);

/** Copies the log of a machine's former script into the script of its new name, with the numbers under which it goes on. @throws when either does not answer */
export async function moveLog(
  env: DispatchBindings,
  user: string,
  from: string,
  to: string,
  position: LogPosition | null,
): Promise<void> {
  const signal = AbortSignal.timeout(MOVE_TIMEOUT_MS);
  // Wait until the new script answers: a new upload takes a moment to be reachable.
  await machineState(env, user, to);
  const numbers = await numbersOf(env, user, from, position, signal);
  if (numbers !== null) await postLog(env, user, to, numbers, signal);
  for (let after = 0; ;) {
    const log = await askMachine(env, user, from, `${ScriptPath.LOG}?after=${after}`, { signal });
    if (!log.ok) throw new Error(`the log of ${from} could not be read: HTTP ${log.status}`);
    const page = LogPage.parse(await log.json());
    // A script of version 0.2 knows no pages: it answers its whole log each time.
    const last = page.at(-1)?.seq ?? 0;
    if (last <= after) return;
    after = last;
    await postLog(env, user, to, page, signal);
  }
}

/** The numbers under which a log goes on. Of a script before 0.3, which cannot tell them, as far as its reports did. */
async function numbersOf(
  env: DispatchBindings,
  user: string,
  machine: string,
  position: LogPosition | null,
  signal: AbortSignal,
): Promise<LogNumbers | null> {
  const answer = await askMachine(env, user, machine, `${ScriptPath.LOG}?numbers`, { signal });
  if (!answer.ok) throw new Error(`the log of ${machine} could not be read: HTTP ${answer.status}`);
  const numbers = LogNumbers.safeParse(await answer.json());
  if (numbers.success) return numbers.data;
  return position === null ? null : { position, pushed: 0, streams: [] };
}

async function postLog(
  env: DispatchBindings,
  user: string,
  machine: string,
  part: LogNumbers | LoggedEvent[],
  signal: AbortSignal,
): Promise<void> {
  const moved = await postToMachine(env, user, machine, ScriptPath.LOG, part, signal);
  if (!moved.ok) throw new Error(`the log of ${machine} could not be written: HTTP ${moved.status}`);
  await moved.body?.cancel();
}
