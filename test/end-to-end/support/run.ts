import { spawn } from "node:child_process";
import { once } from "node:events";

export type Ran = { readonly code: number | null; readonly stdout: string; readonly stderr: string };

export type RunOptions = {
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
  /** Its standard input; closed if absent. */
  readonly input?: string;
};

/** A guard against a program that hangs. */
const RUN_LIMIT_MS = 180_000;

/** Runs a program to its end. */
export async function run(
  command: string,
  args: readonly string[],
  { cwd, env = {}, input }: RunOptions = {},
): Promise<Ran> {
  const child = spawn(command, args, {
    cwd,
    env: { ...process.env, ...env },
    stdio: [input === undefined ? "ignore" : "pipe", "pipe", "pipe"],
    timeout: RUN_LIMIT_MS,
    killSignal: "SIGKILL",
  });
  const stdout: Buffer[] = [];
  const stderr: Buffer[] = [];
  child.stdin?.end(input);
  child.stdout?.on("data", (chunk: Buffer) => stdout.push(chunk));
  child.stderr?.on("data", (chunk: Buffer) => stderr.push(chunk));
  const [code]: (number | null)[] = await once(child, "close");
  return { code: code ?? null, stdout: Buffer.concat(stdout).toString(), stderr: Buffer.concat(stderr).toString() };
}
