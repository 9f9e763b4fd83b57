import { aroundEach, expect, it, vi } from "vitest";
import { Challenges } from "../../../control-api/src/webhooks/challenge.ts";
import { MAX_CHALLENGES, POST_TIMEOUT_MS } from "../../../control-api/src/webhooks/limits.ts";
import { onOwnTimers } from "../../support/own-timers.ts";
import { Receiver, SECRET } from "../support/receiver.ts";

aroundEach((runTest) => onOwnTimers(runTest));

it("only a few receivers are challenged at a time, and those that never answer make room after their time", async () => {
  const challenges = new Challenges();
  const ask = ({ url }: Receiver) => challenges.run(new URL(url), "sub_one", SECRET, Date.now());
  const fine = new Receiver();
  const waiting = [];
  for (let count = 0; count < MAX_CHALLENGES; count += 1) {
    expect(await ask(fine)).toBeNull(); // meanwhile
    const hanging = new Receiver();
    await hanging.plan({ hangs: "always" });
    waiting.push(ask(hanging));
    await hanging.received(1);
  }
  expect(await ask(fine)).toMatchObject({ code: "resource_exhausted", limit: "verifications at a time" });
  expect(await fine.received(MAX_CHALLENGES)).toHaveLength(MAX_CHALLENGES);
  await vi.advanceTimersByTimeAsync(POST_TIMEOUT_MS);
  const timeout = { code: "callback_failed", reason: "timeout" };
  expect(await Promise.all(waiting)).toEqual(waiting.map(() => timeout));
  expect(await ask(fine)).toBeNull();
});
