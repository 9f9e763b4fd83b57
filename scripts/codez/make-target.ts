import { join } from "node:path";
import { HttpTarget, StdioTarget, type Target } from "../connector/index.ts";
import { ConfigInvalid, ownServe, readConfig } from "../serve/index.ts";
import { codezHome } from "../system/home.ts";
import { DecisionTarget } from "./decision-target.ts";
import { ExitCode } from "./exit-code.ts";
import { CodezFailure } from "./failure.ts";
import { DEFAULT_TARGET_URL, type TargetSpec } from "./profile/profile.ts";

/** The target that the command line names, or `null` when it names none. */
export function targetOf(url: string | undefined, command: readonly string[]): TargetSpec | null {
  const [program, ...args] = command;
  if (url !== undefined && program !== undefined)
    throw new CodezFailure(ExitCode.USAGE, "Both --url and a command after -- were given.", "Give one of them.");
  if (program !== undefined) return { kind: "command", command: program, args, cwd: process.cwd() };
  if (url === undefined) return null;
  if (URL.canParse(url) && /^https?:$/.test(new URL(url).protocol)) return { kind: "url", url };
  throw new CodezFailure(
    ExitCode.USAGE,
    `"${url}" is not the address of an MCP server.`,
    "Give it as http://127.0.0.1:3000/mcp",
  );
}

export function makeTarget(spec: TargetSpec, machine: string): Target {
  if (spec.kind === "command") return new StdioTarget(spec, machine);
  const url = new URL(addressOf(spec.url));
  return new HttpTarget(url, machine, startHint(spec.url), ownServe(url, spec.url === DEFAULT_TARGET_URL));
}

/** What takes people's decisions behind this target: `codez serve`, if it is the one at this address. */
export function decisionsOf(spec: TargetSpec): Target | null {
  return spec.kind === "url" ? new DecisionTarget(new URL(addressOf(spec.url))) : null;
}

/** The target in words for a person. */
export function describeTarget(spec: TargetSpec): string {
  return spec.kind === "url" ? addressOf(spec.url) : [spec.command, ...spec.args].join(" ");
}

/** Where a server is now. The default address stands for this computer's `codez serve`, which has the port that serve.json says. */
function addressOf(url: string): string {
  const port = url === DEFAULT_TARGET_URL ? ownServePort() : null;
  if (port === null) return url;
  const address = new URL(url);
  address.port = String(port);
  return address.href;
}

/** The port in serve.json; `null` if that is invalid, which is reported where it is used, or leaves the choice to the system. */
function ownServePort(): number | null {
  try {
    return readConfig(join(codezHome(), "serve.json")).port || null;
  } catch (reason) {
    if (reason instanceof ConfigInvalid) return null;
    throw reason;
  }
}

/** The advice when nothing answers at `url`. */
function startHint(url: string): string {
  return url === DEFAULT_TARGET_URL
    ? "Start it on that machine: `codez serve` (or `codez up` instead of `codez connect`)."
    : "Start the MCP server on that machine, or give its address: `codez connect --url <its URL>`.";
}
