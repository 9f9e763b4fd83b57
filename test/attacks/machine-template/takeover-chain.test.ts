// Root cause: only the last holder of a name was kept. Whoever took it over twice, with a stolen sign-in, made undoing it lead back to
// themselves, and the computer that had had the name was lost permanently.
import { abortAllDurableObjects } from "cloudflare:test";
import { afterEach, expect, it, onTestFinished, vi } from "vitest";
import type { LinkCredentials } from "#protocol/script-api.ts";
import { dial, forget, page, state } from "../../machine-template/src/support/connector.ts";
import { change, DIAL, issue, LinkPair } from "../../machine-template/src/support/link-pair.ts";

afterEach(forget);

/** Later than everything before: a change with an earlier time is ignored. */
let lastMs = Date.now();
const later = () => (lastMs += 10);

async function takeOver(identity: string, pair: LinkPair): Promise<string> {
  return issue(80, { identity, key: pair.key, issuedMs: later() });
}

async function restore(): Promise<LinkCredentials> {
  return change({ change: "restore", issuedMs: later() });
}

it("two takeovers can be undone one after the other, even if the object restarts in between", async () => {
  const [mine, thief, again] = [await LinkPair.make(), await LinkPair.make(), await LinkPair.make()];
  const myToken = await issue(80, { key: mine.key, issuedMs: later() });
  const stolen = [await takeOver("thief", thief), await takeOver("thief-again", again)];
  // An order to undo that was given before the last takeover is not about that.
  expect(await change({ change: "restore", issuedMs: lastMs - 1 })).toMatchObject({ identity: "thief-again" });
  expect(await restore()).toMatchObject({ identity: "thief" });
  // There is still something to undo, and the machine says so.
  expect((await state()).link?.takenOverMs).toEqual(expect.any(Number));
  await abortAllDurableObjects();
  expect(await restore()).toMatchObject({ identity: "identity-of-attic", key: mine.key, earlier: null });
  expect((await state()).link?.takenOverMs).toBeNull();
  for (const token of stolen) expect((await dial(token)).status).toBe(401);
  await mine.greeted(myToken, DIAL);
  const { events } = await page({ epoch: "", seq: 0 });
  expect(events.map(({ type }) => type).filter((type) => type.startsWith("link."))).toEqual([
    "link.taken_over",
    "link.taken_over",
    "link.restored",
    "link.restored",
  ]);
});

it("many takeovers and key changes do not drop the computer that had the name first", async () => {
  const mine = await LinkPair.make();
  const myToken = await issue(80, { key: mine.key, issuedMs: later() });
  for (let times = 0; times < 12; times += 1) {
    await takeOver(`thief-${times}`, await LinkPair.make());
    await change({ change: "rebind", issuedMs: later(), key: (await LinkPair.make()).key });
  }
  const seen: string[] = [];
  for (let times = 0; times < 30 && seen.at(-1) !== "identity-of-attic"; times += 1)
    seen.push((await restore()).identity);
  expect(seen.at(-1)).toBe("identity-of-attic");
  expect(seen.length).toBeLessThanOrEqual(8);
  await mine.greeted(myToken, DIAL);
});

it("a rotation in between loses no former holder", async () => {
  const [mine, thief] = [await LinkPair.make(), await LinkPair.make()];
  await issue(80, { key: mine.key, issuedMs: later() });
  await takeOver("thief", thief);
  await takeOver("thief-again", await LinkPair.make());
  await issue(80, { identity: "thief-again", issuedMs: later() });
  await restore();
  expect(await restore()).toMatchObject({ identity: "identity-of-attic" });
});

it("a takeover can be undone for 30 days, and after that the name stays with whoever has it", async () => {
  await issue(80, { key: (await LinkPair.make()).key, issuedMs: later() });
  await takeOver("new-owner", await LinkPair.make());
  onTestFinished(() => void vi.useRealTimers());
  vi.useFakeTimers({ toFake: ["Date"], now: Date.now() + 30 * 24 * 60 * 60_000 });
  expect((await state()).link?.takenOverMs).toBeNull();
  expect(await restore()).toMatchObject({ identity: "new-owner" });
});
