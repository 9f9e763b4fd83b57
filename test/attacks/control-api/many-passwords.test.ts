// Root cause: a password is checked on the thread on which an Operator of one's own answers all calls, and as many were checked one after the other as
// anybody sent. The forty attempts that an address has held up everybody's calls for 16 s, and ten addresses at once for minutes.
import { expect, onTestFinished, test, vi } from "vitest";
import { PasswordTurns } from "../../../control-api/src/sign-in/accounts/password-turns.ts";
import { directory, PASSWORD, Visitor } from "../../control-api/sign-in/support/visitor.ts";

/** Checks that note that they ran, and how many did at once. */
function checks() {
  const ran: string[] = [];
  let [running, most] = [0, 0];
  const check = (name: string) => async () => {
    ran.push(name);
    running += 1;
    most = Math.max(most, running);
    // Like a hash, it leaves the thread to nothing else. It only lets others begin that do not wait for their turn.
    for (let step = 0; step < 10; step += 1) await Promise.resolve();
    running -= 1;
    return name;
  };
  return { ran, check, most: () => most };
}

test("passwords are checked one at a time, and other work has its time in between", async () => {
  const realTimeout = globalThis.setTimeout;
  const pauses: (() => void)[] = [];
  const timer = vi.spyOn(globalThis, "setTimeout").mockImplementation(((end: () => void) => pauses.push(end)) as never);
  onTestFinished(() => timer.mockRestore());
  const [turns, { ran, check, most }] = [new PasswordTurns(), checks()];
  const all = Array.from({ length: 10 }, (_, number) => turns.stranger(check(String(number)), "a"));
  // Whatever time other work takes, only the end of a pause lets the next check begin.
  for (let count = 1; count <= all.length; count += 1) {
    await new Promise<void>((resolve) => void realTimeout(resolve));
    expect([most(), ran.length, pauses.length]).toEqual([1, count, 1]);
    pauses.pop()?.();
  }
  expect(await Promise.all(all)).toHaveLength(10);
});

test("an address with many attempts holds up nobody else, and strangers nobody who is known", async () => {
  const [turns, { ran, check }] = [new PasswordTurns(), checks()];
  const many = Array.from({ length: 50 }, (_, number) => turns.stranger(check(`a${number}`), "a"));
  const others = [turns.stranger(check("b"), "b"), turns.stranger(check("c"), "c"), turns.known(check("known"), "d")];
  await Promise.all([...many, ...others]);
  expect(ran.slice(0, 5)).toEqual(["a0", "known", "a1", "b", "c"]);
});

test("when too many strangers wait, another one is refused, and somebody who is known is not", async () => {
  const [turns, { check }] = [new PasswordTurns(), checks()];
  const many = Array.from({ length: 150 }, (_, number) => turns.stranger(check("x"), `a${number}`));
  const known = turns.known(check("known"), "b");
  const answers = await Promise.all(many);
  expect(answers.filter((answer) => answer === null)).toHaveLength(50);
  expect(await known).toBe("known");
  expect(await turns.stranger(check("later"), "a0")).toBe("later");
});

test("a check that fails does not end the turns", async () => {
  const [turns, { check }] = [new PasswordTurns(), checks()];
  const failing = turns.stranger(() => Promise.reject(new Error("out of memory")), "a");
  const next = turns.stranger(check("next"), "a");
  await expect(failing).rejects.toThrow("out of memory");
  expect(await next).toBe("next");
});

test("whoever signs in takes a turn: as a stranger, until they have signed in from that address", async () => {
  const { name } = await Visitor.invited();
  const signIn = () => directory().signIn(name, PASSWORD, { address: "198.51.100.7", browser: "x" });
  const strangers = vi.spyOn(PasswordTurns.prototype, "stranger").mockResolvedValue(null);
  onTestFinished(() => strangers.mockRestore());
  expect(await signIn()).toMatchObject({ denied: "slow_down" });
  strangers.mockRestore();
  expect(await signIn()).toHaveProperty("session");
  const again = vi.spyOn(PasswordTurns.prototype, "stranger").mockResolvedValue(null);
  onTestFinished(() => again.mockRestore());
  expect(await signIn()).toHaveProperty("session");
});
