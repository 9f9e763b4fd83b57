import { aroundEach, describe, expect, test, vi } from "vitest";
import { Places, type Whose } from "../../../control-api/src/sign-in/places.ts";
import { onOwnTimers } from "../../support/own-timers.ts";

const LIMITS = { perCredential: 3, perUser: 5 };
const STAYING: Pick<Request, "signal"> = { signal: new AbortController().signal };

function of(user: string, token = "one"): Whose {
  return { user, client: "an app", credential: `token:${token}` };
}

function take(places: Places, count: number, whose: Whose, request = STAYING): (boolean | null)[] {
  return Array.from({ length: count }, () => places.take(whose, request) !== null);
}

aroundEach((runTest) => onOwnTimers(runTest));

describe("places of open requests", () => {
  test("are limited for a token, for a person, and for nobody else", () => {
    const places = new Places(LIMITS);
    expect(take(places, 4, of("eve"))).toEqual([true, true, true, false]);
    expect(take(places, 3, of("eve", "other"))).toEqual([true, true, false]);
    expect(take(places, 1, { user: "eve", client: "browser:1" })).toEqual([false]);
    expect(take(places, 1, of("olga"))).toEqual([true]);
  });

  test("are not limited for the owner of a local start, and theirs take none of others", () => {
    const places = new Places(LIMITS);
    expect(take(places, 9, { ...of("eve"), isLocal: true })).not.toContain(false);
    expect(take(places, 3, of("eve"))).toEqual([true, true, true]);
  });

  test("are free again when their requests end, once each", () => {
    const places = new Places(LIMITS);
    const first = places.take(of("eve"), STAYING);
    take(places, 2, of("eve"));
    first?.free();
    first?.free();
    expect(take(places, 2, of("eve"))).toEqual([true, false]);
    expect(places.taken).toBe(3);
  });

  test("are free again when their clients leave, although the code of the requests is not run any more", () => {
    const places = new Places(LIMITS);
    const left = new AbortController();
    take(places, 3, of("eve"), left);
    left.abort();
    expect(places.taken).toBe(0);
  });

  test("are free again when their requests have been silent, and kept by those that are open for long", async () => {
    const places = new Places(LIMITS);
    const long = places.take(of("eve"), STAYING);
    long?.keep();
    take(places, 2, of("eve"));
    await vi.advanceTimersByTimeAsync(11_000);
    expect(take(places, 1, of("eve"))).toEqual([false]);
    await vi.advanceTimersByTimeAsync(60_000);
    expect(take(places, 3, of("eve"))).toEqual([true, true, false]);
    long?.free();
    expect(take(places, 2, of("eve"))).toEqual([true, false]);
  });
});
