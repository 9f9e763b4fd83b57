import { runInDurableObject } from "cloudflare:test";
import { expect, it, vi } from "vitest";
import { onOwnTimers } from "../support/own-timers.ts";
import { env } from "./support/operator.ts";

const SHORT_MS = 5;

it("a test's timers are its own: those that a Durable Object sets meanwhile go by the real clock", async () => {
  const left = { rounds: 0, isOver: false };
  const running = runInDurableObject(env.USER.getByName("left behind"), async () => {
    for (; !left.isOver; left.rounds += 1) await new Promise((resolve) => setTimeout(resolve, SHORT_MS));
  });
  await onOwnTimers(async () => {
    let fired = 0;
    setTimeout(() => (fired += 1), 60_000);
    await expect.poll(() => left.rounds).toBeGreaterThan(1); // one that was set before, and one that was set now
    vi.advanceTimersByTime(60_000);
    expect(fired).toBe(1);
  });
  left.isOver = true;
  await running;
});
