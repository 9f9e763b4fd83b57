import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";

/**
 * Reads "+pid" and "-pid" lines; when the pipe closes, for whatever reason its writer is gone, kills what is still
 * listed. A shell, because it costs a megabyte where a second Node would cost forty.
 */
const PROGRAM = `
alive=
while read -r line; do
  pid=\${line#?}
  case $line in
    +*) alive="$alive $pid" ;;
    -*) rest=; for p in $alive; do [ "$p" = "$pid" ] || rest="$rest $p"; done; alive=$rest ;;
  esac
done
for p in $alive; do kill -9 "$p" 2>/dev/null; done
`;

let reaper: ChildProcess | undefined;

/**
 * Kills the given process when this one ends, even by SIGKILL, which leaves no handler a chance to run. Sockets and
 * database locks would otherwise stay with orphans, and the next start would find them taken.
 */
export function killWithUs(child: ChildProcess): void {
  const { pid } = child;
  if (pid === undefined) return;
  const pipe = start();
  pipe.write(`+${pid}\n`);
  child.once("exit", () => pipe.write(`-${pid}\n`));
}

function start(): NonNullable<ChildProcess["stdin"]> {
  if (reaper?.stdin && reaper.exitCode === null && reaper.signalCode === null) return reaper.stdin;
  // A session of its own: Ctrl-C goes to the whole foreground group, and the reaper has to outlive it.
  reaper = spawn("/bin/sh", ["-c", PROGRAM], { stdio: ["pipe", "ignore", "ignore"], detached: true });
  reaper.unref();
  const { stdin } = reaper;
  if (!stdin) throw new Error("the reaper has no pipe");
  // EPIPE when somebody killed the reaper: the next child starts another.
  stdin.on("error", () => (reaper = undefined));
  if ("unref" in stdin && typeof stdin.unref === "function") stdin.unref();
  return stdin;
}
