import { setTimeout as sleep } from "node:timers/promises";
import { takeLock } from "../../../../scripts/local/lock.ts";
import { Lock } from "../../../../scripts/system/lock.ts";

/** Every lock is raced for at a moment of its own. Milliseconds. */
const EACH_MS = 3;

const TAKE: Record<string, (path: string) => Promise<boolean>> = {
  connector: async (path) => Lock.take(path) instanceof Lock,
  operator: (path) =>
    takeLock(path).then(
      () => true,
      () => false,
    ),
};

// Each of Operator's locks waits for the exit of its process.
process.setMaxListeners(0);

/**
 * Tries to take each of the locks named on its command line, of the kind that is named first, and says which it got. It begins at the
 * time that it is told, and keeps them until it is killed.
 */
process.on("message", (atMs: number) => void race(atMs));
process.send?.("ready");

async function race(atMs: number): Promise<void> {
  const [kind = "", ...paths] = process.argv.slice(2);
  const taken: string[] = [];
  for (const [index, path] of paths.entries()) {
    const dueMs = atMs + index * EACH_MS;
    await sleep(Math.max(0, dueMs - Date.now() - 2));
    while (performance.timeOrigin + performance.now() < dueMs); // a timer alone would be late by a whole race
    if (await TAKE[kind]?.(path)) taken.push(path);
  }
  process.send?.(taken);
}
