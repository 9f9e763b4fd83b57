import type { DurableObject } from "cloudflare:workers";
import { Random } from "../../scripts/system/random.ts";

/** What the tests tell about restarts of the control API's objects (test/end-to-end/restarted-objects.test.ts). */
export type RestartBindings = {
  /** `<seed> <within milliseconds of its start>`. Without it no object is restarted. */
  readonly OBJECT_RESTARTS?: string;
};

/**
 * Calls that mostly wait. On Cloudflare a restart cuts such calls nearly always, and short ones nearly never. Here the others are let
 * through first.
 */
const WAITS: ReadonlySet<string> = new Set(["pollEvents", "awaitRevocation"]);

/** An object that always has a call open is looked at again after this time, and so many times. Milliseconds. */
const AGAIN_MS = 20;
const TIMES = 200;

type Constructor = new (ctx: DurableObjectState, env: never) => DurableObject;

/** How often each object was started, by class and id. This isolate outlives its objects. */
const starts = new Map<string, number>();

/**
 * The same class of Durable Objects, of which each instance ends at a random moment after its start, as Cloudflare restarts objects when
 * it updates its own servers, only more often: what is only in memory is gone, and calls that wait fail. The next call makes a new instance.
 *
 * Only in a moment without a call, except those that mostly wait. A call that arrives in this very moment is cut, too.
 */
export function restarted<Class extends Constructor>(original: Class, kind: string): Class {
  const Base = original as Constructor;
  class Restarted extends Base {
    /** Open calls, without those that mostly wait. */
    #open = 0;

    constructor(ctx: DurableObjectState, env: never) {
      super(ctx, env);
      const [seed, withinMs] = ((env as RestartBindings).OBJECT_RESTARTS ?? "").split(" ").map(Number);
      if (seed === undefined || withinMs === undefined) return;
      const key = `${kind} ${String(ctx.id)}`;
      const count = (starts.get(key) ?? 0) + 1;
      starts.set(key, count);
      // A stream for each start: which of two objects starts first depends on the computer's load, and must not matter to either.
      const random = new Random(seed, `${key} ${count}`);
      setTimeout(() => void this.#endWhenIdle(ctx, key), random.next() * withinMs);
    }

    /** Notes a call while it lasts. Its result stays what it is: methods that answer at once are also called inside the object. */
    during<Result>(work: () => Result): Result {
      this.#open += 1;
      const done = (): void => void (this.#open -= 1);
      let result: Result;
      try {
        result = work();
      } catch (reason) {
        done();
        throw reason;
      }
      if (result instanceof Promise) void result.catch(() => undefined).finally(done);
      else done();
      return result;
    }

    async #endWhenIdle(ctx: DurableObjectState, key: string): Promise<void> {
      for (let left = TIMES; left > 0; left -= 1) {
        if (this.#open === 0) {
          console.log(`restarted by chance: ${key}`);
          ctx.abort("This object was restarted, as Cloudflare may do at any time.");
        }
        await scheduler.wait(AGAIN_MS);
      }
    }
  }
  for (const name of methodsOf(original.prototype as object)) {
    if (WAITS.has(name)) continue;
    const method = (original.prototype as Record<string, (...args: unknown[]) => unknown>)[name];
    Object.defineProperty(Restarted.prototype, name, {
      configurable: true,
      writable: true,
      value(this: Restarted, ...args: unknown[]): unknown {
        return this.during(() => method?.apply(this, args));
      },
    });
  }
  return Restarted as unknown as Class;
}

/** The methods of a class itself. Those of its base classes that it does not override are not called from outside. */
function methodsOf(prototype: object): string[] {
  return Object.entries(Object.getOwnPropertyDescriptors(prototype)).flatMap(([name, { value }]) =>
    name !== "constructor" && typeof value === "function" ? [name] : [],
  );
}
