import { resolve } from "node:path";
import { parseArgs } from "node:util";
import { fileURLToPath } from "node:url";

const DEFAULT_PORT = 8787;

export const HELP = `Starts Operator on this computer, without any account.

  npm start -- [--port <port>] [--verbose]

  --port     where MCP clients and machines connect, on 127.0.0.1 (OPERATOR_PORT; default ${DEFAULT_PORT})
  --verbose  show what the Workers print; it goes to <state>/operator.log in any case

  OPERATOR_STATE  the folder for everything that is kept (default .operator in the repository)
`;

export interface StartArguments {
  readonly port: number;
  readonly stateDir: string;
  readonly verbose: boolean;
  readonly help: boolean;
}

/** @throws Error with a sentence for the person who typed it */
export function readArguments(args: string[], env: NodeJS.ProcessEnv): StartArguments {
  const { values } = parseArgs({
    args,
    options: { port: { type: "string" }, verbose: { type: "boolean" }, help: { type: "boolean", short: "h" } },
  });
  const given = values.port ?? env["OPERATOR_PORT"];
  const port = given === undefined || given === "" ? DEFAULT_PORT : Number(given);
  if (!Number.isInteger(port) || port < 0 || port > 65_535) throw new Error(`"${given}" is not a port`);
  const stateDir = resolve(env["OPERATOR_STATE"] || fileURLToPath(new URL("../../.operator", import.meta.url)));
  return { port, stateDir, verbose: values.verbose ?? false, help: values.help ?? false };
}
