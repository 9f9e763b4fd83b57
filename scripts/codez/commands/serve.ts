import { Command, InvalidArgumentError } from "commander";
import { quoted } from "../install/launcher.ts";
import { keep, runIndexWorker, type Serve, type ServeConfig, startServe } from "../../serve/index.ts";
import { expandHome } from "../../system/home.ts";
import { Output } from "../output.ts";
import { serveFailureOf } from "../serve-failure.ts";
import { print } from "../../print.ts";

/** `version` is set by the entry of `codez`, and sent to clients in the MCP handshake. */
export interface CommandOptions {
  readonly version?: string;
}

interface Flags {
  readonly port?: number;
  readonly projects?: string[];
  readonly readOnly?: boolean;
}

/** `codez serve`: this machine's Claude Code sessions as an MCP server, until Ctrl-C. */
export function serveCommand({ version }: CommandOptions = {}): Command {
  const command = new Command("serve")
    .description("serve this machine's Claude Code sessions as MCP tools on 127.0.0.1")
    .option("--port <port>", "port on 127.0.0.1 (4097 unless serve.json says otherwise)", parsePort)
    .option("--projects <folder...>", "folders whose git repositories are offered as projects")
    .option("--read-only", "let clients read and search sessions, but not prompt them")
    .action((flags: Flags) => serve(overridesOf(flags), version));
  command.addCommand(partCommand(), { hidden: true });
  return command;
}

/** A hidden command with which serve starts this same file again, for its helper processes (see serve/entry.ts). */
function partCommand(): Command {
  return new Command("part").argument("<role>").action(async (role: string) => {
    if (role === "keeper") return keep(process.stdin);
    if (role === "index") return runIndexWorker();
    throw new InvalidArgumentError(`no part ${role}`);
  });
}

async function serve(overrides: Partial<ServeConfig>, version: string | undefined): Promise<void> {
  let running;
  try {
    running = await startServe({ overrides, onConfig: tellConfig, ...(version === undefined ? {} : { version }) });
  } catch (reason) {
    const failure = serveFailureOf(reason);
    if (failure === null) throw reason;
    // Handled here and not by main.ts, because the benchmark and the tests run this command without it.
    new Output(false).failure(failure);
    process.exitCode = failure.exitCode;
    return;
  }
  // The reader of the output may go away (a closed terminal, `| head`); the sessions go on.
  for (const stream of [process.stdout, process.stderr]) stream.on("error", () => undefined);
  print(`MCP server of this machine's Claude Code sessions: ${running.url}`);
  // The token itself is not printed, because output ends up in logs and screenshots.
  const header = `"Authorization: Bearer $(cat ${quoted(running.tokenFile)})"`;
  print(`Add it to Claude Code:  claude mcp add --transport http codez ${running.url} --header ${header}`);
  print("Permission requests are answered with: codez permissions");
  // Installed before the health check, which starts `claude` twice: a Ctrl-C during that must also end everything properly.
  const asked = untilAskedToStop();
  const looked = warn(running);
  await asked;
  await Promise.all([running.stop(), looked]);
}

/** Says at once that an edit of `serve.json` is wrong, or right again. */
function tellConfig(problem: string | null): void {
  print(problem === null ? "serve.json is right again" : `warning: ${problem}`.split("\n"));
}

async function warn(running: Serve): Promise<void> {
  for (const problem of (await running.health()).problems) print(`warning: ${problem}`);
}

function overridesOf({ port, projects, readOnly }: Flags): Partial<ServeConfig> {
  return {
    ...(port === undefined ? {} : { port }),
    ...(projects === undefined ? {} : { projects: projects.map(expandHome) }),
    ...(readOnly === true ? { readOnly } : {}),
  };
}

function untilAskedToStop(): Promise<void> {
  return new Promise((resolve) => {
    for (const name of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.once(name, () => resolve());
  });
}

function parsePort(text: string): number {
  const port = Number(text);
  if (!Number.isInteger(port) || port < 0 || port > 65_535) throw new InvalidArgumentError("not a port");
  return port;
}
