import { createHash } from "node:crypto";
import * as z from "zod";
import { parseJson } from "#protocol/json.ts";
import { operatorFetch } from "../../trust/operator-fetch.ts";
import { ExitCode } from "../exit-code.ts";
import { CodezFailure } from "../failure.ts";
import type { Build } from "./installation.ts";
import { unpack } from "./unpack.ts";

/** For a megabyte over a slow mobile connection. */
const FETCH_TIMEOUT_MS = 120_000;

/** Where each installed file lies in the tarball. */
const FILES = { "codez.js": "package/build/codez.js", LICENSE: "package/LICENSE" } as const;
const NOTICES = "package/THIRD-PARTY-NOTICES";

const Manifest = z.looseObject({ name: z.literal("codez"), version: z.string().regex(/^[\w.+-]{1,64}$/) });

/**
 * The codez that the Operator at `hub` serves. Its SHA-256 must be the one that Operator states beside it, so that a download that
 * a proxy cut short or an old cache replaced is never installed. Throws `CodezFailure`.
 */
export async function fetchBuild(hub: string): Promise<Build> {
  const [tarball, stated] = await Promise.all([get(hub, "/codez.tgz"), get(hub, "/codez.tgz.sha256")]);
  const expected = /^([0-9a-f]{64})\b/.exec(stated.toString("utf8"))?.[1];
  const actual = createHash("sha256").update(tarball).digest("hex");
  if (expected !== actual)
    throw failed(hub, `its SHA-256 is ${actual}, and Operator states ${expected ?? "none"}`, "Try again in a moment.");
  const files = unpacked(tarball, hub);
  const manifest = Manifest.safeParse(parseJson(files.get("package/package.json")?.toString("utf8") ?? ""));
  const contents = Object.entries(FILES).map(([name, path]) => [name, files.get(path)] as const);
  const isWhole = contents.every((entry): entry is [string, Buffer] => entry[1] !== undefined);
  if (!manifest.success || !isWhole)
    throw failed(hub, "it is not a package of codez", "Check the address of Operator.");
  const notices = files.get(NOTICES);
  return {
    version: manifest.data.version,
    files: new Map([...contents, ...(notices === undefined ? [] : [["THIRD-PARTY-NOTICES", notices] as const])]),
  };
}

function unpacked(tarball: Buffer, hub: string): Map<string, Buffer> {
  try {
    return unpack(tarball);
  } catch (reason) {
    const why = reason instanceof Error ? reason.message : String(reason);
    throw failed(hub, why, "Check the address of Operator (--hub).", reason);
  }
}

async function get(hub: string, path: string): Promise<Buffer> {
  try {
    // The file is run afterwards: it comes from Operator itself or not at all. Its size is a tenth of what is read at most.
    const response = await operatorFetch(new URL(path, hub), { signal: AbortSignal.timeout(FETCH_TIMEOUT_MS) });
    if (!response.ok) throw new Error(`HTTP ${response.status} at ${path}`);
    return Buffer.from(await response.arrayBuffer());
  } catch (reason) {
    const why = reason instanceof Error && reason.cause instanceof Error ? reason.cause : reason;
    const fix = "Check the address (--hub) and this computer's network.";
    throw failed(hub, why instanceof Error ? why.message : String(why), fix, reason);
  }
}

function failed(hub: string, why: string, fix: string, cause?: unknown): CodezFailure {
  return new CodezFailure(ExitCode.HUB_UNREACHABLE, `The codez of ${hub} could not be fetched: ${why}.`, fix, cause);
}
