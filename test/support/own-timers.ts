import { AsyncLocalStorage } from "node:async_hooks";
import { vi } from "vitest";

const TIMERS = ["setTimeout", "clearTimeout", "setInterval", "clearInterval"] as const;

const isOwn = new AsyncLocalStorage<true>();

/**
 * Runs (part of) a test in a Worker with timers and a clock that are fake for its own code alone. All others in its isolate keep their real
 * timers: what an earlier test left behind (a stream, a wait of a Durable Object) sets timers too, and the test would fire these, which workerd
 * refuses: "Cannot perform I/O on behalf of a different Durable Object".
 */
export function onOwnTimers<Result>(run: () => Promise<Result>): Promise<Result> {
  return isOwn.run(true, async () => {
    const real = timers();
    vi.useFakeTimers({ toFake: [...TIMERS, "Date"] });
    const fake = timers();
    const routed = TIMERS.map((name) => {
      const route = (...given: unknown[]): unknown => (isOwn.getStore() === true ? fake : real)[name]?.(...given);
      return [name, route] as const;
    });
    Object.assign(globalThis, Object.fromEntries(routed));
    try {
      return await run();
    } finally {
      Object.assign(globalThis, fake);
      vi.useRealTimers();
    }
  });
}

function timers(): Record<string, (...given: unknown[]) => unknown> {
  return Object.fromEntries(TIMERS.map((name) => [name, globalThis[name] as (...given: unknown[]) => unknown]));
}
