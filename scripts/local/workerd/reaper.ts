import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";

/**
 * The reaper: a shell program that cleans up after this process. It reads lines from a pipe: "+pid" adds a process,
 * "-pid" removes it, "=folder" names the runtime folder. The kernel closes the pipe when this process dies, whatever the
 * cause. The loop then ends, and the reaper kills the processes still on its list and removes the folder.
 * It is a shell because that takes 1 MB of memory; a second Node process would take 40.
 */
const PROGRAM = `
alive= folder=
while IFS= read -r line; do
  rest=\${line#?}
  case $line in
    +*) alive="$alive $rest" ;;
    -*) kept=; for p in $alive; do [ "$p" = "$rest" ] || kept="$kept $p"; done; alive=$kept ;;
    =*) folder=$rest ;;
  esac
done
for p in $alive; do kill -9 "$p" 2>/dev/null; done
[ -z "$folder" ] || rm -rf -- "$folder"
`;

/** What must not outlive this process: process ids, and the folder of their sockets. A new reaper is told all of it. */
const doomed = new Set<number>();
let folder: string | undefined;
let pipe: NonNullable<ChildProcess["stdin"]> | undefined;

/**
 * Makes sure that the child is killed when this process ends, even by SIGKILL, which lets no exit handler run. An orphaned
 * child would keep its sockets and database locks, and the next start would fail on them.
 */
export function killWithUs(child: ChildProcess): void {
  const { pid } = child;
  if (pid === undefined) return;
  doomed.add(pid);
  tell(`+${pid}`);
  child.once("exit", () => {
    doomed.delete(pid);
    tell(`-${pid}`);
  });
}

/** Removes the folder when this process ends. */
export function removeWithUs(path: string): void {
  folder = path;
  tell(`=${path}`);
}

// On an orderly exit the children are killed right here, so that they are gone before a new start, however slow the reaper is.
process.on("exit", () => {
  for (const pid of doomed) {
    try {
      process.kill(pid, "SIGKILL");
    } catch {
      // It has already ended, and its exit event has not arrived yet.
    }
  }
});

function tell(line: string): void {
  (pipe ??= start()).write(`${line}\n`);
}

function start(): NonNullable<ChildProcess["stdin"]> {
  // A separate session: Ctrl-C goes to the whole foreground process group, and the reaper must survive it.
  const reaper = spawn("/bin/sh", ["-c", PROGRAM], { stdio: ["pipe", "ignore", "ignore"], detached: true });
  const { stdin } = reaper;
  if (!stdin) throw new Error("the reaper has no pipe");
  // If the reaper is killed, a new one is started and given the whole list.
  const lost = () => {
    if (pipe !== stdin) return;
    pipe = undefined;
    if (doomed.size > 0) pipe = start();
  };
  reaper.once("exit", lost);
  reaper.once("error", () => {
    // There is no shell. The exit handler above still kills every child, and on Linux the kernel does (death-signal.ts).
  });
  stdin.on("error", () => {
    // EPIPE: the reaper was killed during a write. Its "exit" event, handled above, starts a new one.
  });
  // Neither the reaper nor its pipe may keep this process's event loop alive.
  reaper.unref();
  if ("unref" in stdin && typeof stdin.unref === "function") stdin.unref();
  for (const pid of doomed) stdin.write(`+${pid}\n`);
  if (folder !== undefined) stdin.write(`=${folder}\n`);
  return stdin;
}
