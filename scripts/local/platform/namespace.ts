import { randomUUID } from "node:crypto";
import { mkdir, readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import * as z from "zod";
import { readStateFile } from "../file-failure.ts";
import { isMissing, writeFileAtomically } from "../file.ts";
import { fail } from "./error.ts";
import { checkName, isName } from "./name.ts";
import { ScriptFolder } from "./record.ts";
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
  /** Scripts whose record makes no sense, and why. They are neither run nor forgotten. */
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

  /** Reads one back, with its scripts. @returns null when the folder holds none */
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
      // No record: an upload or a deletion that the end of the platform cut short.
      if (record === null) await folder.remove();
      else this.#scripts.set(name, new UserScript(name, folder, record, this.#around));
    } catch (error) {
      // One damaged script must not keep its neighbours from starting; it is left as it is, to be repaired.
      const why = error instanceof Error ? error.message : String(error);
      this.#damaged.set(name, why);
      this.#around.report(`machine script ${name} cannot be read: ${why}`);
    }
  }

  scripts(): UserScript[] {
    return [...this.#scripts.values()].filter(({ exists }) => exists).toSorted((a, b) => (a.name < b.name ? -1 : 1));
  }

  /** @throws PlatformFailure `script_damaged`: it is there, so nobody may be told that it is not */
  find(name: string): UserScript | null {
    const message = this.#damaged.get(name);
    if (message !== undefined) fail({ code: "script_damaged", message });
    const script = this.#scripts.get(name);
    return script?.exists ? script : null;
  }

  /** When a script that is not there any more was removed; `null` when nobody remembers. */
  removedMs(name: string): number | null {
    return this.#scripts.get(name)?.removedMs ?? null;
  }

  /** @throws PlatformFailure `script_unknown`, `name_invalid` */
  script(name: string): UserScript {
    return this.find(checkName("script", name)) ?? fail({ code: "script_unknown", script: name });
  }

  /** The script of that name, for an upload: one that is not there yet begins to exist with it. */
  prepare(name: string): UserScript {
    const found = this.find(checkName("script", name)) ?? this.#scripts.get(name);
    if (found) return found;
    const script = new UserScript(name, new ScriptFolder(join(this.#path, "scripts", name)), null, this.#around);
    this.#scripts.set(name, script);
    return script;
  }

  async removeScript(name: string): Promise<void> {
    if (this.#damaged.delete(name))
      return new ScriptFolder(join(this.#path, "scripts", checkName("script", name))).remove();
    // The object stays, so that an upload that waits behind the removal finds what it is to change.
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

/** The folders in a folder whose names could be ours. */
export async function subfolders(path: string): Promise<string[]> {
  try {
    const entries = await readdir(path, { withFileTypes: true });
    return entries.filter((entry) => entry.isDirectory() && isName(entry.name)).map(({ name }) => name);
  } catch (error) {
    if (isMissing(error)) return [];
    throw error;
  }
}
