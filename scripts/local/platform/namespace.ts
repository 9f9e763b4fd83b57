import { randomUUID } from "node:crypto";
import { mkdir, readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import * as z from "zod";
import { readStateFile } from "../file-failure.ts";
import { isMissing } from "../../system/is-missing.ts";
import { writeFileAtomically } from "../file.ts";
import { fail } from "./error.ts";
import { checkName, isName } from "./name.ts";
import { ScriptFolder, type ScriptRecord } from "./record.ts";
import type { Upload } from "./upload.ts";
import { UserScript } from "./user-script.ts";
import type { Surroundings } from "./user-script.ts";

const NamespaceRecord = z.object({ id: z.string(), name: z.string(), createdOn: z.string() });
export type NamespaceRecord = Readonly<z.infer<typeof NamespaceRecord>>;

const ADVICE = `Put back a copy of it, or write { "id": "<any>", "name": "<its folder's name>", "createdOn": "<a date>" } into it.`;

/** A dispatch namespace: a folder with its scripts' folders. */
export class Namespace {
  readonly record: NamespaceRecord;
  readonly #path: string;
  readonly #around: Surroundings;
  readonly #scripts = new Map<string, UserScript>();
  /** Scripts whose record cannot be read, with the reason. They are not run, and their files are kept. */
  readonly #damaged = new Map<string, string>();

  private constructor(record: NamespaceRecord, path: string, around: Surroundings) {
    this.record = record;
    this.#path = path;
    this.#around = around;
  }

  static async create(name: string, path: string, around: Surroundings): Promise<Namespace> {
    const record = { id: randomUUID(), name, createdOn: new Date().toISOString() };
    await mkdir(join(path, "scripts"), { recursive: true });
    await writeFileAtomically(join(path, "namespace.json"), `${JSON.stringify(record, null, 2)}\n`);
    return new Namespace(record, path, around);
  }

  /** Reads a namespace and its scripts from disk. @returns null when the folder contains no namespace */
  static async open(path: string, around: Surroundings): Promise<Namespace | null> {
    const record = await readStateFile(join(path, "namespace.json"), { schema: NamespaceRecord, advice: ADVICE });
    if (record === null) return null;
    const namespace = new Namespace(record, path, around);
    for (const name of await subfolders(join(path, "scripts"))) await namespace.#openScript(name);
    return namespace;
  }

  async #openScript(name: string): Promise<void> {
    const folder = new ScriptFolder(join(this.#path, "scripts", name));
    try {
      const record = await folder.read();
      // No record: the platform ended during the script's first upload or its deletion.
      if (record === null) await folder.remove();
      else this.#scripts.set(name, new UserScript(name, folder, record, this.#around));
    } catch (error) {
      // One damaged script must not prevent the others from starting. Its files stay, so that they can be repaired.
      const why = error instanceof Error ? error.message : String(error);
      this.#damaged.set(name, why);
      this.#around.report(`machine script ${name} cannot be read: ${why}`);
    }
  }

  scripts(): UserScript[] {
    return [...this.#scripts.values()].filter(({ exists }) => exists).toSorted((a, b) => (a.name < b.name ? -1 : 1));
  }

  /** @throws PlatformFailure `script_damaged`: the script exists, so `null` would be wrong */
  find(name: string): UserScript | null {
    const message = this.#damaged.get(name);
    if (message !== undefined) fail({ code: "script_damaged", message });
    const script = this.#scripts.get(name);
    return script?.exists ? script : null;
  }

  /** When a script was last removed, in milliseconds since 1970; `null` if not since the platform started. */
  removedMs(name: string): number | null {
    return this.#scripts.get(name)?.removedMs ?? null;
  }

  /** @throws PlatformFailure `script_unknown`, `name_invalid` */
  script(name: string): UserScript {
    return this.find(checkName("script", name)) ?? fail({ code: "script_unknown", script: name });
  }

  /** Uploads a script. A new one exists only once its first upload has succeeded; until then uploads of the same name share one object. */
  async upload(name: string, upload: Upload, isRepeated: boolean): Promise<ScriptRecord> {
    const script = this.#prepared(name);
    try {
      return await script.upload(upload, isRepeated);
    } finally {
      if (script.isNothing) this.#scripts.delete(name);
    }
  }

  #prepared(name: string): UserScript {
    const found = this.find(checkName("script", name)) ?? this.#scripts.get(name);
    if (found) return found;
    const script = new UserScript(name, new ScriptFolder(join(this.#path, "scripts", name)), null, this.#around);
    this.#scripts.set(name, script);
    return script;
  }

  async removeScript(name: string): Promise<void> {
    if (this.#damaged.delete(name))
      return new ScriptFolder(join(this.#path, "scripts", checkName("script", name))).remove();
    // The UserScript stays in the map: an upload may be queued behind the removal in that same object.
    await this.script(name).remove();
  }

  async stop(): Promise<void> {
    await Promise.all([...this.#scripts.values()].map((script) => script.stop()));
  }

  async remove(): Promise<void> {
    await rm(join(this.#path, "namespace.json"), { force: true });
    await rm(this.#path, { recursive: true, force: true });
  }
}

/** Names of the subfolders that are valid namespace or script names. */
export async function subfolders(path: string): Promise<string[]> {
  try {
    const entries = await readdir(path, { withFileTypes: true });
    return entries.filter((entry) => entry.isDirectory() && isName(entry.name)).map(({ name }) => name);
  } catch (error) {
    if (isMissing(error)) return [];
    throw error;
  }
}
