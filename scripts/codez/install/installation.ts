import { randomUUID } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import * as z from "zod";
import { parseJson } from "#protocol/json.ts";
import { codezHome } from "../../system/home.ts";
import { ExitCode } from "../exit-code.ts";
import { CodezFailure } from "../failure.ts";
import { LAUNCHER, launcher } from "./launcher.ts";

/** The program itself, one file without dependencies. */
const PROGRAM = "codez.js";

/** Licences that come along with the program when they lie beside it or, in the tarball, one folder above. */
const COMPANIONS = ["LICENSE", "THIRD-PARTY-NOTICES"] as const;

/** The manifest makes Node treat the program as an ES module, and names the build that is installed. */
const Manifest = z.looseObject({ version: z.string().default("unknown"), hub: z.string().nullish() });

/** A build of codez: its one file, its version, and the licences. */
export type Build = { readonly version: string; readonly files: ReadonlyMap<string, Uint8Array> };

/**
 * The codez that stays on this computer, in `~/.codez/bin`. `npx` runs codez from a cache that npm may clear at any time, so a
 * service, and a person who types `codez`, need a copy elsewhere.
 */
export class Installation {
  readonly folder: string;

  constructor(home: string = codezHome()) {
    this.folder = join(home, "bin");
  }

  /** The program, for a service file. */
  get program(): string {
    return join(this.folder, PROGRAM);
  }

  /** What a person runs. */
  get command(): string {
    return join(this.folder, LAUNCHER);
  }

  /** Version and Operator of what is installed; `null` when nothing is. */
  get installed(): { version: string; hub: string | null } | null {
    if (!existsSync(this.program)) return null;
    const manifest = Manifest.safeParse(parseJson(readFileSync(join(this.folder, "package.json"), "utf8")));
    return { version: manifest.data?.version ?? "unknown", hub: manifest.data?.hub ?? null };
  }

  /** Installs a copy of the codez that runs. `hub`: the Operator that it came from. Throws `CodezFailure`. */
  installOwn(version: string, hub: string | null): void {
    const own = fileURLToPath(import.meta.url);
    if (!own.endsWith(PROGRAM))
      throw new CodezFailure(
        ExitCode.SERVICE_FAILED,
        "codez was not installed: this codez runs from its sources.",
        "npm run build, then run it as: npx codez",
      );
    if (own === this.program) return; // the installed one runs: it stays as it is
    this.install({ version, files: new Map([[PROGRAM, readFileSync(own)], ...companionsOf(own)]) }, hub);
  }

  /** Replaces what is installed as a whole: there is no moment at which the folder holds half of a build. */
  install({ version, files }: Build, hub: string | null): void {
    const fresh = `${this.folder}.${randomUUID()}`;
    const old = `${fresh}.old`;
    mkdirSync(fresh, { recursive: true, mode: 0o700 });
    try {
      for (const [name, content] of files) writeFileSync(join(fresh, name), content);
      const manifest = { name: "codez", private: true, type: "module", version, hub };
      writeFileSync(join(fresh, "package.json"), `${JSON.stringify(manifest, null, 2)}\n`);
      writeFileSync(join(fresh, LAUNCHER), launcher(process.execPath, this.program), { mode: 0o755 });
      // A folder cannot be renamed over one with files. Between the two renames a start of codez fails, and is tried again.
      if (existsSync(this.folder)) renameSync(this.folder, old);
      renameSync(fresh, this.folder);
    } finally {
      // After a failure between the renames the old build is put back.
      if (!existsSync(this.folder) && existsSync(old)) renameSync(old, this.folder);
      rmSync(old, { recursive: true, force: true });
      rmSync(fresh, { recursive: true, force: true });
    }
  }

  remove(): void {
    rmSync(this.folder, { recursive: true, force: true });
  }
}

function companionsOf(program: string): [string, Uint8Array][] {
  const folders = [dirname(program), dirname(dirname(program))];
  return COMPANIONS.flatMap((name): [string, Uint8Array][] => {
    const path = folders.map((folder) => join(folder, name)).find((one) => existsSync(one));
    return path === undefined ? [] : [[name, readFileSync(path)]];
  });
}
