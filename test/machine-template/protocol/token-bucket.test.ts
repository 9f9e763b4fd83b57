import { describe, expect, test } from "vitest";
import { TokenBucket } from "#protocol/token-bucket.ts";

const RATE = { perSecond: 2, burst: 3 };

test("a bucket gives its burst at once, then its rate, and tells how long to wait", () => {
  const bucket = new TokenBucket(RATE, 0);
  expect([0, 0, 0, 0].map((now) => bucket.take(now))).toEqual([0, 0, 0, 500]);
  expect(bucket.take(250)).toBe(250);
  expect(bucket.take(500)).toBe(0);
  expect(bucket.take(500)).toBe(500);
});

test("a quiet time fills it to its burst and no further", () => {
  const bucket = new TokenBucket(RATE, 0);
  const hour = 3_600_000;
  expect([hour, hour, hour, hour].map((now) => bucket.take(now))).toEqual([0, 0, 0, 500]);
});

test("a clock set back neither fills nor empties it", () => {
  const bucket = new TokenBucket(RATE, 10_000);
  expect([10_000, 5_000, 5_000, 5_000].map((now) => bucket.take(now))).toEqual([0, 0, 0, 500]);
});

test("what is returned can be taken again, and never exceeds the burst", () => {
  const bucket = new TokenBucket(RATE, 0);
  for (let count = 0; count < 3; count += 1) bucket.take(0);
  bucket.giveBack();
  expect([bucket.take(0), bucket.take(0)]).toEqual([0, 500]);
  for (let count = 0; count < 9; count += 1) bucket.giveBack();
  expect([0, 0, 0, 0].map((now) => bucket.take(now))).toEqual([0, 0, 0, 500]);
});

describe("as a budget of events, a bucket", () => {
  test("gives its burst at once, and then its rate", () => {
    const bucket = new TokenBucket({ perSecond: 10, burst: 5 }, 0);
    expect([bucket.takeUpTo(8, 0), bucket.takeUpTo(1, 0), bucket.takeUpTo(3, 250), bucket.takeUpTo(9, 60_000)]).toEqual(
      [5, 0, 2, 5],
    );
  });

  test("keeps fractions of events, so that a slow trickle passes completely", () => {
    const bucket = new TokenBucket({ perSecond: 10, burst: 2 }, 0);
    let passed = 0;
    for (let ms = 0; ms < 10_000; ms += 30) passed += bucket.takeUpTo(1, ms);
    expect(passed).toBeGreaterThanOrEqual(100);
  });

  test("does not change when the clock is set back", () => {
    const bucket = new TokenBucket({ perSecond: 10, burst: 5 }, 1_000_000);
    expect([bucket.takeUpTo(3, 1_000_000), bucket.takeUpTo(9, 0), bucket.takeUpTo(1, 100)]).toEqual([3, 2, 1]);
  });
});
