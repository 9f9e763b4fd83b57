import { spawn } from "node:child_process";

/** Starts `node lock-taker.ts <path>` as the child of a shell that never waits for it: once killed, it stays a zombie. */
export function startUnreaped(
  program: string,
  path: string,
): { shell: ReturnType<typeof spawn>; line: Promise<string> } {
  // `exec sleep` takes the shell's place, and sleep waits for no child.
  const script = '"$1" "$2" "$3" & echo $!; exec sleep 60';
  const shell = spawn("sh", ["-c", script, "sh", process.execPath, program, path], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const line = new Promise<string>((resolve) => {
    shell.stdout?.once("data", (text: Buffer) => resolve(text.toString().trim()));
  });
  return { shell, line };
}
