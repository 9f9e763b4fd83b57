import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";

/**
 * Reads "+pid" and "-pid" lines, and "=folder". When the pipe closes, its writer is gone for whatever reason: then it
 * kills what is still listed and removes the folder. A shell, because it costs a megabyte where a second Node would
 * cost forty.
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

/** What must not outlive this process: processes by their id, and the folder of their sockets. */
const doomed = new Set<number>();
let folder: string | undefined;
let pipe: NonNullable<ChildProcess["stdin"]> | undefined;

/**
 * Kills the given process when this one ends, even by SIGKILL, which leaves no handler a chance to run. Sockets and
 * database locks would otherwise stay with orphans, and the next start would find them taken.
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

// An orderly exit leaves nobody waiting for the reaper.
process.on("exit", () => {
  for (const pid of doomed) {
    try {
      process.kill(pid, "SIGKILL");
    } catch {
      // It has ended by itself; its exit was not yet seen here.
    }
  }
});

function tell(line: string): void {
  (pipe ??= start()).write(`${line}\n`);
}

function start(): NonNullable<ChildProcess["stdin"]> {
  // A session of its own: Ctrl-C goes to the whole foreground group, and the reaper has to outlive it.
  const reaper = spawn("/bin/sh", ["-c", PROGRAM], { stdio: ["pipe", "ignore", "ignore"], detached: true });
  const { stdin } = reaper;
  if (!stdin) throw new Error("the reaper has no pipe");
  // When somebody kills it, the next one is told what it had on its list.
  const lost = () => {
    if (pipe !== stdin) return;
    pipe = undefined;
    if (doomed.size > 0) pipe = start();
  };
  reaper.once("exit", lost);
  reaper.once("error", () => {
    // No shell, so no reaper here: an orderly end still kills every child, and so does Linux when this process dies.
  });
  stdin.on("error", () => {
    // EPIPE, when it is killed while it is told something; its exit is seen above.
  });
  reaper.unref();
  if ("unref" in stdin && typeof stdin.unref === "function") stdin.unref();
  for (const pid of doomed) stdin.write(`+${pid}\n`);
  if (folder !== undefined) stdin.write(`=${folder}\n`);
  return stdin;
}
