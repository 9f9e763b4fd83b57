import { randomUUID } from "node:crypto";
import { mkdir } from "node:fs/promises";
import { isListening } from "../../system/ports.ts";
import type { Ports } from "../../system/ports.ts";
import { StartFailure } from "../workerd/process.ts";
import { Supervisor } from "../workerd/supervisor.ts";
import type { Report } from "../workerd/supervisor.ts";
import { hasAlarms } from "./alarms.ts";
import { fail } from "./error.ts";
import type { Metadata, OwnBinding } from "./metadata.ts";
import { migrate } from "./migrations.ts";
import type { ScriptFolder, ScriptRecord } from "./record.ts";
import type { Upload } from "./upload.ts";
import { scriptConfig, storageFolders } from "./script-config.ts";
import type { Services } from "./script-config.ts";

export interface Surroundings {
  readonly ports: Ports;
  readonly services: Services;
  readonly report: Report;
  readonly log: Report;
}

/** What the DISPATCH binding needs to reach a script; see dispatch-binding/binding.ts. */
export interface Route {
  readonly port: number;
  readonly key: string;
  readonly endedMs: number;
  readonly startedMs: number;
}

/** One user script: its record on disk and the workerd that runs it. Changes to one script happen one after the other. */
export class UserScript {
  readonly name: string;
  readonly #folder: ScriptFolder;
  readonly #around: Surroundings;
  readonly #supervisor: Supervisor;
  /** New in every life of the platform, and never another script's. */
  readonly #key = randomUUID();
  #port: number | undefined;
  #record: ScriptRecord | null;
  #removedMs: number | null = null;
  #last: Promise<unknown> = Promise.resolve();

  constructor(name: string, folder: ScriptFolder, record: ScriptRecord | null, around: Surroundings) {
    this.name = name;
    this.#folder = folder;
    this.#record = record;
    this.#around = around;
    this.#supervisor = new Supervisor({
      name: `machine script ${name}`,
      config: async () => this.#config(this.record, await this.#freePort(), folder.storage),
      report: around.report,
      log: (line) => around.log(`[${name}] ${line}`),
    });
  }

  get exists(): boolean {
    return this.#record !== null;
  }

  /** Its process; `null` while none runs. */
  get pid(): number | null {
    return this.#supervisor.pid;
  }

  /** When it was removed; no call that began later has reached it. Milliseconds since 1970; `null` when it was not. */
  get removedMs(): number | null {
    return this.#removedMs;
  }

  /** @throws PlatformFailure `script_unknown` */
  get record(): ScriptRecord {
    return this.#record ?? fail({ code: "script_unknown", script: this.name });
  }

  get folder(): ScriptFolder {
    return this.#folder;
  }

  /** Whether it has to run though nobody calls it. */
  needsStart(): Promise<boolean> {
    return hasAlarms(this.#folder.storage);
  }

  /**
   * Where the script is, once it runs. `lostMs` is the start of the run to which a caller has just lost its connection:
   * the kernel knows of a death before this process does, and that run must not be handed out again.
   * @throws PlatformFailure `script_unknown`, StartFailure
   */
  async route(lostMs?: number): Promise<Route> {
    await this.#last.catch(() => {
      // A change that failed was its caller's to hear of; the script is what it was before.
    });
    void this.record; // throws when there is none
    if (lostMs !== undefined && lostMs === this.#supervisor.startedMs && !(await isListening(await this.#ownPort())))
      await this.#supervisor.ended(lostMs);
    await this.#supervisor.ready();
    const { endedMs, startedMs } = this.#supervisor;
    return { port: await this.#ownPort(), key: this.#key, endedMs, startedMs };
  }

  /** Makes the upload the script, after a trial run of its own: one that does not start leaves the old one running. */
  upload({ metadata, modules }: Upload): Promise<ScriptRecord> {
    return this.#change(async () => {
      const before = this.#record;
      const { classes, tag, dropped } = migrate(before?.classes ?? {}, before?.migrationTag, metadata.migrations);
      const now = new Date().toISOString();
      const record: ScriptRecord = {
        version: await this.#folder.writeModules(modules),
        mainModule: metadata.main_module,
        modules: modules.map(({ name, type }) => ({ name, type })),
        compatibilityDate: metadata.compatibility_date,
        compatibilityFlags: metadata.compatibility_flags,
        bindings: mergeBindings(metadata, before?.bindings ?? []),
        tags: metadata.tags ?? [],
        classes,
        ...(tag === undefined ? {} : { migrationTag: tag }),
        createdOn: before?.createdOn ?? now,
        modifiedOn: now,
      };
      await this.#replace(record, dropped);
      return record;
    });
  }

  /** Changes the script's bindings, which restarts it. */
  rebind(change: (bindings: readonly OwnBinding[]) => readonly OwnBinding[]): Promise<void> {
    return this.#change(async () => {
      const { record } = this;
      const bindings = [...change(record.bindings)];
      await this.#replace({ ...record, bindings, modifiedOn: new Date().toISOString() }, []);
    });
  }

  /** Changes the script's tags, which it does not notice. */
  retag(change: (tags: readonly string[]) => readonly string[]): Promise<readonly string[]> {
    return this.#change(async () => {
      const { record } = this;
      const tags = [...new Set(change(record.tags))];
      this.#record = { ...record, tags };
      await this.#folder.write(this.#record);
      return tags;
    });
  }

  remove(): Promise<void> {
    return this.#change(async () => {
      void this.record; // throws when there is none
      this.#record = null;
      await this.#supervisor.stop();
      this.#removedMs = Date.now();
      await this.#folder.remove();
      this.#port = undefined;
    });
  }

  start(): Promise<void> {
    return this.#supervisor.start();
  }

  async stop(): Promise<void> {
    await this.#change(() => this.#supervisor.stop());
  }

  async #replace(record: ScriptRecord, dropped: readonly string[]): Promise<void> {
    try {
      await this.#try(record);
    } catch (error) {
      // The modules of an upload that came to nothing: writing the old record again removes them.
      if (this.#record) await this.#folder.write(this.#record);
      else await this.#folder.remove();
      throw error;
    }
    await this.#supervisor.stop();
    await this.#folder.write(record);
    await this.#folder.dropStorage(dropped);
    this.#record = record;
    await this.#supervisor.start();
  }

  /** Starts the script once beside the one that runs, without its storage. */
  async #try(record: ScriptRecord): Promise<void> {
    const trial = new Supervisor({
      name: `trial of ${this.name}`,
      config: () => this.#config(record, 0, null),
      report: this.#around.report,
    });
    try {
      await trial.start();
    } catch (error) {
      if (error instanceof StartFailure && !error.addressInUse) fail({ code: "script_broken", message: error.message });
      throw error;
    } finally {
      await trial.stop();
    }
  }

  async #config(record: ScriptRecord, port: number, storage: string | null) {
    const folders = storage === null ? null : storageFolders(storage);
    if (folders !== null)
      for (const path of Object.values(folders)) await mkdir(path, { recursive: true, mode: 0o700 });
    return scriptConfig({
      ...record,
      modules: this.#folder.modulesOf(record),
      port,
      storage: folders,
      key: this.#key,
      services: this.#around.services,
    });
  }

  async #ownPort(): Promise<number> {
    return (this.#port ??= await this.#around.ports.take());
  }

  /** The script's port, or, when somebody took it while the script was down, the one that is its own from now on. */
  async #freePort(): Promise<number> {
    if (this.#port !== undefined && (await isListening(this.#port))) this.#port = undefined;
    return this.#ownPort();
  }

  #change<T>(body: () => Promise<T>): Promise<T> {
    const done = this.#last.then(body, body);
    this.#last = done;
    return done;
  }
}

/** The upload's bindings, those it inherits by name, and those it keeps by type. */
function mergeBindings({ bindings, keep_bindings }: Metadata, before: readonly OwnBinding[]): OwnBinding[] {
  const merged = new Map<string, OwnBinding>();
  for (const old of before) if (keep_bindings.includes(old.type)) merged.set(old.name, old);
  for (const binding of bindings) {
    if (binding.type !== "inherit") merged.set(binding.name, binding);
    else {
      const old = before.find(({ name }) => name === binding.name);
      if (old) merged.set(old.name, old);
    }
  }
  return [...merged.values()];
}
