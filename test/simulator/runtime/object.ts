import { kernel } from "./kernel.ts";
import type { SimulatedSocket } from "./socket.ts";
import { PrefixedSql } from "./sql.ts";
import { waitUntil } from "./workers.ts";

type Handler = {
  alarm?(): Promise<void>;
  webSocketMessage?(socket: unknown, message: string): Promise<void> | undefined;
  webSocketClose?(socket: unknown, code: number): void;
};

type Scheduled = { readonly atMs: number; readonly method: string; readonly payload: unknown };

/** Why a call fails whose object was stopped while it ran. */
export class ObjectStopped extends Error {
  constructor(name: string) {
    super(`${name} was stopped`);
  }
}

/**
 * A Durable Object: an instance that comes and goes, and storage and sockets that stay. It follows the runtime's rules as far as the code
 * under simulation can see them.
 */
export class SimulatedObject<Instance extends object = object> {
  readonly name: string;
  readonly sql: PrefixedSql;
  /** Counts the instances. What belongs to an earlier one does not run any more. */
  life = 0;
  sockets: SimulatedSocket[] = [];
  readonly #make: (ctx: DurableObjectState) => Instance;
  #kv = new Map<string, string>();
  #alarmMs: number | null = null;
  #scheduled: Scheduled[] = [];
  #instance: Instance | null = null;
  #ready: Promise<unknown> = Promise.resolve();
  #stopped = Promise.withResolvers<never>();
  #calls = 0;

  constructor(name: string, sql: SqlStorage, prefix: string, make: (ctx: DurableObjectState) => Instance) {
    this.name = name;
    this.sql = new PrefixedSql(sql, prefix);
    this.#make = make;
    this.#stopped.promise.catch(() => undefined); // whoever waits is told; nobody may be waiting
  }

  get isRunning(): boolean {
    return this.#instance !== null;
  }

  /** Whether a call is open. */
  get isCalled(): boolean {
    return this.#calls > 0;
  }

  /** Whether the runtime would hibernate it now: no call is open, and no timer is set. */
  get isIdle(): boolean {
    return this.#calls === 0 && !kernel.hasTimers(this);
  }

  /** Calls the object, which is started if it does not run. `isWaiting`: the call may take simulated time. */
  async call<Value>(use: (instance: Instance) => Value | Promise<Value>, isWaiting = false): Promise<Value> {
    const work = async (): Promise<Value> => {
      const instance = this.#start();
      await this.#ready;
      return kernel.running.run(this, () => use(instance)) as Promise<Value>;
    };
    this.#calls += 1;
    const life = this.life;
    const answered = Promise.race([work(), this.#stopped.promise]).finally(() => {
      if (this.life === life) this.#calls -= 1;
    });
    return isWaiting ? answered : kernel.during(answered);
  }

  /** Stops the instance: what was in memory is gone. Sockets stay, as they do in hibernation, unless they are closed by `loseSockets`. */
  stop(): void {
    this.life += 1;
    this.#instance = null;
    this.#calls = 0;
    this.#stopped.reject(new ObjectStopped(this.name));
    this.#stopped = Promise.withResolvers<never>();
    this.#stopped.promise.catch(() => undefined);
  }

  /** The storage is gone, and with it the instance. */
  wipe(): void {
    this.stop();
    this.sql.drop();
    this.#kv = new Map();
    this.#alarmMs = null;
    this.#scheduled = [];
  }

  /** When the object has to be woken; `null` for never. */
  get wakeMs(): number | null {
    const times = [...(this.#alarmMs === null ? [] : [this.#alarmMs]), ...this.#scheduled.map(({ atMs }) => atMs)];
    return times.length === 0 ? null : Math.min(...times);
  }

  /** Fires the alarm, and runs what is scheduled, if it is due. */
  async wake(): Promise<void> {
    const nowMs = kernel.nowMs + kernel.skewMs;
    if (this.#alarmMs !== null && this.#alarmMs <= nowMs) {
      this.#alarmMs = null;
      await this.call((instance) => (instance as Handler).alarm?.());
    }
    const due = this.#scheduled.filter(({ atMs }) => atMs <= nowMs);
    this.#scheduled = this.#scheduled.filter(({ atMs }) => atMs > nowMs);
    for (const { method, payload } of due)
      await this.call((instance) =>
        (instance as unknown as Record<string, (payload: unknown) => Promise<void>>)[method]?.(payload),
      );
  }

  schedule(afterS: number, method: string, payload: unknown): void {
    this.#scheduled.push({ atMs: kernel.nowMs + kernel.skewMs + afterS * 1000, method, payload });
  }

  #start(): Instance {
    if (this.#instance !== null) return this.#instance;
    this.#ready = Promise.resolve();
    kernel.touch();
    const instance = kernel.running.run(this, () => this.#make(this.#ctx()));
    this.#instance = instance;
    return instance;
  }

  #ctx(): DurableObjectState {
    const kv = this.#kv;
    const storage = {
      sql: this.sql,
      kv: {
        get: (key: string) => (kv.has(key) ? JSON.parse(kv.get(key) ?? "null") : undefined),
        put: (key: string, value: unknown) => void kv.set(key, JSON.stringify(value)),
        delete: (key: string) => kv.delete(key),
      },
      transactionSync: <Value>(work: () => Value): Value => work(),
      setAlarm: async (atMs: number) => void (this.#alarmMs = atMs),
      deleteAlarm: async () => void (this.#alarmMs = null),
    };
    return {
      id: { name: this.name },
      storage,
      waitUntil,
      blockConcurrencyWhile: (work: () => Promise<unknown>) => {
        this.#ready = kernel.during(work());
        return this.#ready;
      },
      acceptWebSocket: (socket: SimulatedSocket) => void this.sockets.push(socket),
      getWebSockets: () => [...this.sockets],
      setWebSocketAutoResponse: () => undefined,
      // A connector sends heartbeats, which the runtime answers, until the wire is cut.
      getWebSocketAutoResponseTimestamp: ({ peer }: SimulatedSocket) =>
        new Date(peer.cutMs ?? kernel.nowMs + kernel.skewMs),
    } as unknown as DurableObjectState;
  }
}
