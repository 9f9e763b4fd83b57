import { spawn } from "node:child_process";
import { dirname } from "node:path";
import { ServeFailure } from "../error.ts";

/**
 * Settings under which git only reads, whatever the repository's own configuration says. A repository that an agent works in may have
 * been written by anyone, and its configuration can name programs: a file-system monitor, hooks, filters, transports.
 */
const ONLY_READS: Readonly<Record<string, string>> = {
  "core.fsmonitor": "false",
  "core.hooksPath": "/dev/null",
  // A larger file is compared as binary: git holds both versions of a text in memory. Bytes.
  "core.bigFileThreshold": "4194304",
  // Names are separated by NUL, so that they need no quotes.
  "core.quotePath": "false",
  // The owner's taste does not matter to a parser.
  "diff.noprefix": "false",
  "diff.mnemonicPrefix": "false",
  "diff.orderFile": "/dev/null",
};

/** What git wrote to its standard error is told to the caller up to this length: a sentence or two. */
const MAX_COMPLAINT_CHARACTERS = 300;

/** The detail of a failure that git says nothing about, for example that nothing was found. */
export const NO_WORD = "it ended with 1";

export interface GitRun {
  /** The root of the working tree, found by us: a repository's configuration may name another. */
  readonly root: string;
  /** More settings, by their full names. */
  readonly settings?: Readonly<Record<string, string>>;
  /** More of git's environment variables. */
  readonly environment?: Readonly<Record<string, string>>;
  /** Ends git. */
  readonly signal: AbortSignal;
}

/**
 * Runs git and gives its output in pieces as they come. A reader that stops early ends git.
 * Throws ServeFailure `git_failed`.
 */
export async function* git(args: readonly string[], run: GitRun): AsyncGenerator<Buffer> {
  const { root, signal } = run;
  const child = spawn("git", ["--no-pager", "--no-optional-locks", "--literal-pathspecs", ...args], {
    cwd: root,
    env: environment(run),
    stdio: ["ignore", "pipe", "pipe"],
  });
  const end = (): boolean => child.kill("SIGKILL");
  signal.addEventListener("abort", end, { once: true });
  let complaint = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    complaint = (complaint + text).slice(0, MAX_COMPLAINT_CHARACTERS);
  });
  const ended = new Promise<number | Error>((resolve) => {
    child.once("error", resolve).once("close", (code) => resolve(code ?? -1));
  });
  try {
    if (signal.aborted) end();
    yield* child.stdout as AsyncIterable<Buffer>;
    const code = await ended;
    if (signal.aborted) throw new ServeFailure({ code: "git_failed", detail: "it took too long" });
    if (code instanceof Error)
      throw new ServeFailure({ code: "git_failed", detail: `git did not start: ${code.message}` });
    if (code !== 0) {
      const silent = code === 1 ? NO_WORD : `it ended with ${code}`;
      throw new ServeFailure({ code: "git_failed", detail: complaint.trim() || silent });
    }
  } finally {
    signal.removeEventListener("abort", end);
    end();
  }
}

/** A command's output as text, at most about `maxBytes` of it. Throws ServeFailure `git_failed`. */
export async function gitText(
  args: readonly string[],
  run: GitRun,
  maxBytes: number,
): Promise<{ readonly text: string; readonly isCut: boolean }> {
  const pieces: Buffer[] = [];
  let bytes = 0;
  for await (const piece of git(args, run)) {
    pieces.push(piece);
    bytes += piece.length;
    if (bytes > maxBytes) break;
  }
  return { text: Buffer.concat(pieces).toString("utf8"), isCut: bytes > maxBytes };
}

/**
 * git's environment. Nothing of serve's own that begins with `GIT_` is passed on. Settings are given here and not as arguments,
 * because there a name with a `=` in it would be read as another.
 */
function environment({ root, settings: more = {}, environment: other = {} }: GitRun): NodeJS.ProcessEnv {
  const settings = { ...ONLY_READS, ...more };
  const own = Object.fromEntries(
    Object.entries(process.env).filter(([name]) => !name.startsWith("GIT_") && !name.startsWith("CODEZ_")),
  );
  const given = Object.entries(settings).flatMap(([name, value], index) => [
    [`GIT_CONFIG_KEY_${index}`, name],
    [`GIT_CONFIG_VALUE_${index}`, value],
  ]);
  return {
    ...own,
    LC_ALL: "C",
    GIT_WORK_TREE: root,
    // If this folder's repository is broken, git must not take one further up.
    GIT_CEILING_DIRECTORIES: dirname(root),
    GIT_TERMINAL_PROMPT: "0",
    GIT_NO_LAZY_FETCH: "1",
    // No transport may run. In a partial clone, git fetches a missing object with a program that the configuration can name. An
    // older git does not know the variable above, and a setting of the repository (`protocol.<name>.allow`) goes before ours.
    GIT_ALLOW_PROTOCOL: "",
    GIT_CONFIG_COUNT: String(Object.keys(settings).length),
    ...Object.fromEntries(given),
    ...other,
  };
}
