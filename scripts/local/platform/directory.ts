import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { fail } from "./error.ts";
import { checkName } from "./name.ts";
import { Namespace, subfolders } from "./namespace.ts";
import type { UserScript, Surroundings } from "./user-script.ts";

/** All dispatch namespaces of this platform. */
export class Directory {
  readonly #path: string;
  readonly #around: Surroundings;
  readonly #namespaces = new Map<string, Namespace>();
  #creating: Promise<unknown> = Promise.resolve();

  private constructor(path: string, around: Surroundings) {
    this.#path = path;
    this.#around = around;
  }

  static async open(path: string, around: Surroundings): Promise<Directory> {
    const directory = new Directory(path, around);
    await mkdir(path, { recursive: true, mode: 0o700 });
    for (const name of await subfolders(path)) {
      const namespace = await Namespace.open(join(path, name), around);
      if (namespace) directory.#namespaces.set(name, namespace);
    }
    return directory;
  }

  list(): Namespace[] {
    return [...this.#namespaces.values()];
  }

  /** @throws PlatformFailure `namespace_unknown` */
  get(name: string): Namespace {
    return this.#namespaces.get(name) ?? fail({ code: "namespace_unknown", namespace: name });
  }

  find(namespace: string, script: string): UserScript | null {
    return this.#namespaces.get(namespace)?.find(script) ?? null;
  }

  /** When a script was last removed, in milliseconds since 1970; `null` if not since the platform started. */
  removedMs(namespace: string, script: string): number | null {
    return this.#namespaces.get(namespace)?.removedMs(script) ?? null;
  }

  /** @throws PlatformFailure `namespace_exists`, `name_invalid` */
  create(name: string): Promise<Namespace> {
    const created = this.#creating.then(async () => {
      checkName("namespace", name);
      if (this.#namespaces.has(name)) fail({ code: "namespace_exists", namespace: name });
      const namespace = await Namespace.create(name, join(this.#path, name), this.#around);
      this.#namespaces.set(name, namespace);
      return namespace;
    });
    this.#creating = created.catch(() => {
      // The caller of this creation gets the error. The next one only waits for this one to end.
    });
    return created;
  }

  /** The namespace with that name; creates it if it does not exist. */
  async ensure(name: string): Promise<Namespace> {
    return this.#namespaces.get(name) ?? (await this.create(name));
  }

  /** @throws PlatformFailure `namespace_unknown`, `namespace_in_use` */
  async remove(name: string): Promise<void> {
    const namespace = this.get(name);
    const scripts = namespace.scripts().length;
    if (scripts > 0) fail({ code: "namespace_in_use", namespace: name, scripts });
    this.#namespaces.delete(name);
    await namespace.stop();
    await namespace.remove();
  }

  async stop(): Promise<void> {
    await Promise.all(this.list().map((namespace) => namespace.stop()));
  }
}
