import { readFileSync, realpathSync } from "node:fs";
import { join, sep } from "node:path";
import * as z from "zod";
import { parseJson } from "#protocol/json.ts";

/** How npm 7 and newer note, in the folder that `npx` installs into, what was asked for. */
const NpxPackage = z.looseObject({ _npx: z.looseObject({ packages: z.array(z.string()) }) });

const TARBALL = "/codez.tgz";

/**
 * Where the program `script` was fetched from by `npx -y https://operator.example.com/codez.tgz`: the address of that tarball,
 * or `null` when it came from anywhere else.
 */
export function tarballOf(script: string | undefined): string | null {
  if (script === undefined) return null;
  try {
    const parts = realpathSync(script).split(sep);
    const at = parts.lastIndexOf("_npx");
    if (at === -1 || parts.length <= at + 1) return null;
    const noted = NpxPackage.safeParse(
      parseJson(readFileSync(join(parts.slice(0, at + 2).join(sep), "package.json"), "utf8")),
    );
    return noted.data?._npx.packages.find((one) => /^https?:/.test(one) && one.endsWith(TARBALL)) ?? null;
  } catch {
    return null; // it was removed from npm's cache while it runs, which npm may do
  }
}

/** What a person types to run codez again: the way in which this one was started. */
export function commandOf(script: string | undefined, environment: NodeJS.ProcessEnv): string {
  const tarball = tarballOf(script);
  if (tarball !== null) return `npx -y ${tarball}`;
  return environment["npm_command"] === "exec" ? "npx codez" : "codez";
}

const COMMANDS =
  "setup|connect|up|serve|permissions|status|machines|rename|rotate|remove|tokens|audit|service|login|logout|upgrade|uninstall";

/** A command of codez as our texts name it, unless it is written out already. */
const NAMED = new RegExp(`(?<![\\w/.-]|npx |codez\\.tgz )codez (?=(?:${COMMANDS})\\b)`, "g");

/** The text with each command of codez as it works where the person is who reads it. */
export function asTyped(text: string, command: string): string {
  return command === "codez" ? text : text.replaceAll(NAMED, `${command} `);
}
