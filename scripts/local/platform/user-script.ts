import { randomUUID } from "node:crypto";
import { mkdir } from "node:fs/promises";
import { KIND_TAG } from "#protocol/machine-upload.ts";
import { HeldPorts, isListening } from "../../system/ports.ts";
import type { Ports } from "../../system/ports.ts";
import type { MemoryLimits } from "../workerd/memory-limit.ts";
import { OutputPace } from "../workerd/output-pace.ts";
import { StartFailure } from "../workerd/process.ts";
import { Supervisor } from "../workerd/supervisor.ts";
import type { Report } from "../workerd/supervisor.ts";
import { nextAlarmMs } from "./alarms.ts";
import { fail } from "./error.ts";
import { CALL_HEADER, CLOSING } from "../dispatch-binding/call.ts";
import type { Chances, Hostility } from "./hostility/hostility.ts";
import type { Restarts } from "./hostility/restarts.ts";
import type { Metadata, OwnBinding } from "./metadata.ts";
import { migrate } from "./migrations.ts";
import type { ScriptFolder, ScriptRecord } from "./record.ts";
import type { Upload } from "./upload.ts";
import { scriptConfig, storageFolders } from "./script-config.ts";
import type { Services } from "./script-config.ts";

export interface Surroundings {
  readonly ports: Ports;
  readonly services: Services;
  readonly offline?: boolean;
  readonly report: Report;
  /** Called with the path of a script's log. Answers what is called with each line that the script prints. */
  readonly logOf: (path: string) => Report;
  /** Misbehaves as Cloudflare can; `null` in a real start. */
  readonly unkind?: Unkind | null;
  /** Whether a script must not run now, because the disk is nearly full. */
  readonly holds?: (script: UserScript) => Promise<boolean>;
}

export interface Unkind {
  readonly hostility: Hostility;
  readonly chances: Chances;
  readonly restarts: Restarts;
}

/** What the DISPATCH binding needs to reach a script; dispatch-binding/binding.ts explains the times. */
export interface Route {
  readonly script: string;
  readonly port: number;
  readonly key: string;
  readonly endedMs: number;
  readonly startedMs: number;
}

/**
 * Megabytes of a script's process for its data. An idle one has 0.6 GB of them, of which it uses 15 MB: V8 takes addresses ahead. The rest is enough
 * for the heap and as much again in buffers. Without a limit one hosted server took all memory of the computer, and the system ended others.
 */
const DATA_MB = 1_280;

/**
 * Which process the system ends first when the computer has no memory left: a hosted server's, which is somebody's own code, then a machine's script, which
 * is started again. By itself it ends the largest. Twelve hosted servers with 30 MB each were smaller than Operator's own process, and ended all of it.
 */
const ENDS_BEFORE = { hosted: 800, machine: 400 };

/**
 * One user script: its record on disk and the workerd that runs it. Changes to one script are queued and run one at a time;
 * different scripts do not wait for each other.
 */
export class UserScript {
  readonly name: string;
  readonly #folder: ScriptFolder;
  readonly #around: Surroundings;
  readonly #supervisor: Supervisor;
  readonly #pace: OutputPace;
  /** Changes that have not ended. */
  #changes = 0;
  /** Tells it from other scripts, also from one of this name before the platform's last start. */
  readonly #id = randomUUID();
  /**
   * The key that the script's guard requires. New at each start of its process: code can read that of its own script, and what has the name after
   * a removal must have another one; and who listened at its port while it did not run was sent it.
   */
  #key = randomUUID();
  /** Its ports while nothing of it runs there. */
  readonly #held = new HeldPorts();
  #port: number | undefined;
  #record: ScriptRecord | null;
  #removedMs: number | null = null;
  #last: Promise<unknown> = Promise.resolve();
  /** An upload that has not taken effect yet, and the storage that it drops. */
  #late: { timer: NodeJS.Timeout; dropped: readonly string[] } | undefined;
  /** The next start is that of a restart by chance, which is not followed by another. */
  #isRestarting = false;

  constructor(name: string, folder: ScriptFolder, record: ScriptRecord | null, around: Surroundings) {
    this.name = name;
    this.#folder = folder;
    this.#record = record;
    this.#around = around;
    const said = around.logOf(folder.log);
    this.#pace = new OutputPace((line) => around.report(`machine script ${name}: ${line}`));
    this.#supervisor = new Supervisor({
      name: `machine script ${name}`,
      config: async () => {
        const { unkind = null } = around;
        if (unkind !== null && !this.#isRestarting) unkind.restarts.started(this, unkind.chances.of("restart", name));
        this.#key = randomUUID();
        return this.#config(this.record, await this.#freePort(), folder.storage);
      },
      ended: () => void this.#hold(),
      heapMb: around.unkind?.hostility.heapMb,
      limits: () => limitsOf(this.record),
      report: around.report,
      log: (line) => said(`[${name}] ${line}`),
      pace: this.#pace,
    });
  }

  get exists(): boolean {
    return this.#record !== null;
  }

  /** Whether it never existed, and no upload is under way that could change that. */
  get isNothing(): boolean {
    return !this.exists && this.#removedMs === null && this.#changes === 0;
  }

  /** Process id of its workerd; `null` while none runs. */
  get pid(): number | null {
    return this.#supervisor.pid;
  }

  /** When it was removed, in milliseconds since 1970: no later call has reached it. `null` if not since the platform started. */
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

  /** The port at which it is called; `null` before its first start. */
  get port(): number | null {
    return this.#port ?? null;
  }

  /** When it must run although nobody calls it, in milliseconds since 1970; `null`: never. */
  nextAlarmMs(): Promise<number | null> {
    return nextAlarmMs(this.#folder.storage);
  }

  /**
   * Resolves with the script's route once it runs. `lostMs` is the `startedMs` of a run to which a caller has just lost its
   * connection. A connection breaks some milliseconds before Node reports that the process has exited, so that run may still
   * count as running here. Its port tells: if nothing listens there, wait for the exit to be reported.
   * @throws PlatformFailure `script_unknown`, StartFailure
   */
  async route(lostMs?: number): Promise<Route> {
    await this.#last.catch(() => {
      // The caller of the failed change got the error. The script is as it was before.
    });
    void this.record; // throws when there is none
    if ((await this.#around.holds?.(this)) === true)
      throw new StartFailure(`machine script ${this.name} stores too much: the disk is nearly full`);
    if (lostMs !== undefined && lostMs === this.#supervisor.startedMs && !(await isListening(await this.#ownPort())))
      await this.#supervisor.ended(lostMs);
    await this.#supervisor.ready();
    const { endedMs, startedMs } = this.#supervisor;
    return { script: this.#id, port: await this.#ownPort(), key: this.#key, endedMs, startedMs };
  }

  /**
   * Replaces the script, or creates it. The upload is started in a trial run first; if that fails, the old script keeps running.
   * @param isRepeated whether the same upload was carried out before, and its reply was lost
   */
  upload({ metadata, modules }: Upload, isRepeated = false): Promise<ScriptRecord> {
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
      await this.#replace(record, dropped, isRepeated);
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

  /** Changes the script's tags, which needs no restart. */
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
      this.#forgetLate();
      await this.#supervisor.stop();
      this.#removedMs = Date.now();
      await this.#folder.remove();
      this.#port = undefined;
    });
  }

  /** Starts it because an alarm is due. It may have been removed meanwhile, or run already. */
  wake(): Promise<void> {
    return this.#change(async () => {
      if (this.exists && (await this.#around.holds?.(this)) !== true) await this.#supervisor.start();
    });
  }

  /** Ends its process, with its calls. The next call starts it again, when it may run. */
  halt(): Promise<void> {
    return this.#change(() => this.#supervisor.stop());
  }

  /** Ends its process, which nobody uses. A call that arrives at this moment is carried out, or starts the process again. */
  rest(): Promise<void> {
    return this.#change(async () => {
      if (this.#late === undefined) await this.#supervisor.rest();
    });
  }

  async stop(): Promise<void> {
    await this.#change(async () => {
      await this.#folder.dropStorage(this.#forgetLate());
      await this.#supervisor.stop();
      await this.#held.releaseAll();
    });
  }

  /**
   * Resolves when its isolate next takes a turn. Not queued with changes: the guard is asked about a call that there is not.
   * @throws when its process ends first
   */
  async takesTurn(): Promise<void> {
    const answer = await fetch(`http://127.0.0.1:${await this.#ownPort()}/`, {
      headers: { [CALL_HEADER]: `${this.#key} ${randomUUID()}` },
    });
    await answer.arrayBuffer();
  }

  /** Restarts it, unless it does not run or has a call open. Answers whether there is nothing left to do. */
  restartIfIdle(): Promise<boolean> {
    return this.#change(async () => {
      if (!this.exists || this.#supervisor.startedMs === 0) return true;
      const answer = await fetch(`http://127.0.0.1:${await this.#ownPort()}/`, {
        headers: { [CALL_HEADER]: `${this.#key} ${CLOSING}` },
      });
      if (!answer.ok) return false;
      this.#isRestarting = true;
      try {
        await this.#supervisor.stop();
        await this.#supervisor.start();
      } finally {
        this.#isRestarting = false;
      }
      return true;
    });
  }

  async #replace(record: ScriptRecord, dropped: readonly string[], isRepeated = false): Promise<void> {
    try {
      await this.#try(record);
    } catch (error) {
      // Remove the modules of the failed upload. Writing the old record deletes all version folders but its own.
      if (this.#record) await this.#folder.write(this.#record);
      else await this.#folder.remove();
      throw error;
    }
    const { unkind = null } = this.#around;
    const lateMs = (unkind?.chances.of("late", this.name).next() ?? 0) * (unkind?.hostility.lateMs ?? 0);
    if (unkind !== null && isRepeated && dropped.length === 0 && this.#supervisor.startedMs > 0) {
      // It runs already, or will in a moment. That it is started once more is due to the lost reply, so nobody who calls it expects
      // that: as all restarts by chance, this one waits for a moment without a call.
      await this.#folder.write(record);
      this.#record = record;
      if (this.#late === undefined) unkind.restarts.soon(this, lateMs);
      return;
    }
    if (lateMs > 0 && this.#supervisor.startedMs > 0) return this.#replaceLate(record, dropped, lateMs);
    await this.#supervisor.stop();
    await this.#folder.write(record);
    await this.#folder.dropStorage(dropped);
    this.#record = record;
    await this.#supervisor.start();
  }

  /** The same, but the former process goes on answering for a while. If it crashes, its successor has the new code. */
  async #replaceLate(record: ScriptRecord, dropped: readonly string[], lateMs: number): Promise<void> {
    await this.#folder.write(record);
    this.#record = record;
    const earlier = this.#forgetLate();
    const timer = setTimeout(() => {
      void this.#change(async () => {
        if (this.#late?.timer !== timer) return; // a later upload, or the script was removed
        await this.#supervisor.stop();
        await this.#folder.dropStorage(this.#forgetLate());
        await this.#supervisor.start();
      }).catch((error: unknown) => this.#around.report(`${this.name}: ${String(error)}`));
    }, lateMs);
    this.#late = { timer, dropped: [...earlier, ...dropped] };
  }

  /** Forgets the upload that has not taken effect. Answers the storage that it drops. */
  #forgetLate(): readonly string[] {
    const { timer, dropped = [] } = this.#late ?? {};
    clearTimeout(timer);
    this.#late = undefined;
    return dropped;
  }

  /** Starts the new version once, beside the running one, on another port and without the script's storage. */
  async #try(record: ScriptRecord): Promise<void> {
    const trial = new Supervisor({
      name: `trial of ${this.name}`,
      config: () => this.#config(record, 0, null),
      heapMb: this.#around.unkind?.hostility.heapMb,
      limits: () => limitsOf(record),
      report: this.#around.report,
      pace: this.#pace,
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
      mayClose: this.#around.unkind !== null && this.#around.unkind !== undefined,
      services: this.#around.services,
      offline: this.#around.offline === true,
    });
  }

  async #ownPort(): Promise<number> {
    return (this.#port ??= await this.#around.ports.take());
  }

  /** The script's port. If another program took it while the script was down, the script keeps a new one. */
  async #freePort(): Promise<number> {
    if (this.#port !== undefined) await this.#held.release(this.#port);
    if (this.#port !== undefined && (await isListening(this.#port))) this.#port = undefined;
    return this.#ownPort();
  }

  /** Keeps others from its port until it runs again. */
  async #hold(): Promise<void> {
    const port = this.#port;
    if (port === undefined || (await this.#held.hold(port)) || port !== this.#port || this.pid !== null) return;
    this.#around.report(`machine script ${this.name}: another program has taken its port ${port}`);
  }

  #change<T>(body: () => Promise<T>): Promise<T> {
    this.#changes += 1;
    const done = this.#last.then(body, body).finally(() => (this.#changes -= 1));
    this.#last = done;
    return done;
  }
}

/** Whether it is a machine's script, whose code is Operator's. */
export function isMachine({ tags }: ScriptRecord): boolean {
  return tags.includes(KIND_TAG);
}

function limitsOf(record: ScriptRecord): MemoryLimits {
  return { dataMb: DATA_MB, endsBefore: isMachine(record) ? ENDS_BEFORE.machine : ENDS_BEFORE.hosted };
}

/** The upload's own bindings, the old ones that it inherits by name, and the old ones that it keeps by type (`keep_bindings`). */
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
