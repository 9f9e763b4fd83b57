import { AsyncLocalStorage } from "node:async_hooks";
import type { ChildProcess } from "node:child_process";
import { subscribe } from "node:diagnostics_channel";
import { killWithUs } from "./reaper.ts";

type OnChild = (child: ChildProcess) => void;

const owner = new AsyncLocalStorage<OnChild>();
let watching = false;

/**
 * Runs `body` and hands every process started by it, then or later, to `onChild`. Miniflare keeps its workerd to
 * itself; Node announces each new process on a diagnostics channel, in the async context of whoever starts it.
 */
export function watchChildren<T>(onChild: OnChild, body: () => T): T {
  if (!watching) {
    subscribe("child_process", announce);
    watching = true;
  }
  return owner.run(onChild, body);
}

function announce(message: unknown): void {
  const onChild = owner.getStore();
  if (!onChild) return;
  const { process: child } = message as { process: ChildProcess }; // the channel's documented shape
  // The announcement comes before the process exists; its pid is known at "spawn".
  child.once("spawn", () => killWithUs(child));
  onChild(child);
}
