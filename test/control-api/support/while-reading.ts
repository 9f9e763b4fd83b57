import { runInDurableObject } from "cloudflare:test";
import { expect, vi } from "vitest";
import type { User } from "../../../control-api/src/user/user.ts";
import { env } from "./operator.ts";

/**
 * Begins what reads a person's log, and something else while that read takes its time. The read goes on when the other has ended, or waits as
 * well.
 */
export async function whileReading<One, Other>(
  user: string,
  begin: () => Promise<One>,
  meanwhile: () => Promise<Other>,
): Promise<[One, Other]> {
  const read = { isHeld: false, mayGo: false };
  const object = env.USER.getByName(user) as unknown as DurableObjectStub<User>;
  const spies = await runInDurableObject(object, (instance: User) => {
    const prototype = Object.getPrototypeOf(instance) as User;
    return (["pollEvents", "newestEvent"] as const).map((method) => {
      const real = prototype[method] as (...args: unknown[]) => unknown;
      const held = async function (this: User, ...args: unknown[]): Promise<unknown> {
        read.isHeld = true;
        while (!read.mayGo) await scheduler.wait(1);
        return real.apply(this, args);
      };
      return vi.spyOn(prototype, method).mockImplementation(held as never);
    });
  });
  try {
    const one = begin();
    await expect.poll(() => read.isHeld).toBe(true);
    const other = meanwhile();
    await Promise.race([other, scheduler.wait(100)]);
    read.mayGo = true;
    return await Promise.all([one, other]);
  } finally {
    read.mayGo = true;
    for (const spied of spies) spied.mockRestore();
  }
}
