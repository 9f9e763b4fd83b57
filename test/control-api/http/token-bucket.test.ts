import { expect, test } from "vitest";
import { TokenBucket, TokenBuckets } from "../../../control-api/src/http/token-bucket.ts";

const RATE = { perSecond: 2, burst: 3 };

test("a bucket gives its burst at once, then its rate, and says how long to wait", () => {
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

test("a clock that was set back neither fills nor empties it", () => {
  const bucket = new TokenBucket(RATE, 10_000);
  expect([10_000, 5_000, 5_000, 5_000].map((now) => bucket.take(now))).toEqual([0, 0, 0, 500]);
});

test("what is given back can be taken again, and never makes more than the burst", () => {
  const bucket = new TokenBucket(RATE, 0);
  for (let count = 0; count < 3; count += 1) bucket.take(0);
  bucket.giveBack();
  expect([bucket.take(0), bucket.take(0)]).toEqual([0, 500]);
  for (let count = 0; count < 9; count += 1) bucket.giveBack();
  expect([0, 0, 0, 0].map((now) => bucket.take(now))).toEqual([0, 0, 0, 500]);
});

test("of many keys the oldest is dropped, so that memory stays bounded", () => {
  const buckets = new TokenBuckets(2);
  const first = buckets.of("first", RATE, 0);
  const second = buckets.of("second", RATE, 0);
  expect(buckets.of("first", RATE, 0)).toBe(first);
  buckets.of("third", RATE, 0);
  expect(buckets.of("second", RATE, 0)).toBe(second);
  expect(buckets.of("first", RATE, 0)).not.toBe(first);
});
