import { existsSync } from "node:fs";
import { mkdir, readdir, readFile, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { randomUUID } from "node:crypto";
import * as z from "zod";
import { readStateFile } from "../file-failure.ts";
import { syncFolder, writeDurably } from "../../system/durable-file.ts";
import { writeFileAtomically } from "../file.ts";
import { Binding } from "./metadata.ts";
import type { StoredModule } from "./script-config.ts";
import type { ScriptModule } from "./upload.ts";

const own = Binding.refine((binding) => binding.type !== "inherit");

/**
 * A script's record on disk, `script.json`. It names the version folder with the script's modules. It is written after that
 * folder is on the disk with all its files, so a crash or a power cut during an upload leaves the old record with the old folder.
 */
const Record = z.object({
  version: z.string(),
  mainModule: z.string(),
  modules: z.array(
    z.object({ name: z.string(), type: z.enum(["esm", "cjs", "text", "data", "json", "wasm", "sourcemap"]) }),
  ),
  compatibilityDate: z.string(),
  compatibilityFlags: z.array(z.string()),
  bindings: z.array(own),
  tags: z.array(z.string()),
  classes: z.record(z.string(), z.object({ key: z.string(), sqlite: z.boolean() })),
  migrationTag: z.string().optional(),
  createdOn: z.string(),
  modifiedOn: z.string(),
});
export type ScriptRecord = Readonly<z.infer<typeof Record>>;

const ADVICE = "Put back a copy of it and start again, or remove the machine (`codez remove`) and set it up again.";

/** A script's folder on disk. */
export class ScriptFolder {
  readonly path: string;

  constructor(path: string) {
    this.path = path;
  }

  get storage(): string {
    return join(this.path, "storage");
  }

  /** What the script prints. It is removed with the script, and not backed up. */
  get log(): string {
    return join(this.path, "output.log");
  }

  async read(): Promise<ScriptRecord | null> {
    return readStateFile(join(this.path, "script.json"), { schema: Record, advice: ADVICE });
  }

  /** The modules, each with the path of its file. */
  modulesOf({ version, modules }: ScriptRecord): StoredModule[] {
    return modules.map((module, index) => ({ ...module, path: join(this.path, version, String(index)) }));
  }

  async readModules(record: ScriptRecord): Promise<ScriptModule[]> {
    return Promise.all(
      this.modulesOf(record).map(async ({ path, ...module }) => ({
        ...module,
        contents: new Uint8Array(await readFile(path)),
      })),
    );
  }

  /** Stores modules in files named 0, 1, 2, ... because the uploader chooses their names. @returns the version folder's name */
  async writeModules(modules: readonly ScriptModule[]): Promise<string> {
    const version = `version-${randomUUID()}`;
    const folder = join(this.path, version);
    await mkdir(folder, { recursive: true });
    await Promise.all(modules.map(({ contents }, index) => writeDurably(join(folder, String(index)), contents)));
    for (const path of [folder, this.path, dirname(this.path)]) await syncFolder(path);
    return version;
  }

  /** Makes this the script's record, then deletes the folders of all other versions. */
  async write(record: ScriptRecord): Promise<void> {
    await mkdir(this.path, { recursive: true });
    await writeFileAtomically(join(this.path, "script.json"), `${JSON.stringify(record, null, 2)}\n`);
    for (const name of await readdir(this.path))
      if (name.startsWith("version-") && name !== record.version) await rm(join(this.path, name), { recursive: true });
  }

  async dropStorage(keys: readonly string[]): Promise<void> {
    for (const key of keys) await rm(join(this.storage, "do", key), { recursive: true, force: true });
  }

  /** Removes everything. The record goes first: after a crash, a folder without a record counts as removed. */
  async remove(): Promise<void> {
    await rm(join(this.path, "script.json"), { force: true });
    if (existsSync(this.path)) await syncFolder(this.path);
    await rm(this.path, { recursive: true, force: true });
  }
}
