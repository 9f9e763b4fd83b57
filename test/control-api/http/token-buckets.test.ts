import { expect, test } from "vitest";
import { TokenBuckets } from "../../../control-api/src/http/token-buckets.ts";

const RATE = { perSecond: 2, burst: 3 };

test("the oldest of many keys is dropped, so that memory stays bounded", () => {
  const buckets = new TokenBuckets(2);
  const first = buckets.of("first", RATE, 0);
  const second = buckets.of("second", RATE, 0);
  expect(buckets.of("first", RATE, 0)).toBe(first);
  buckets.of("third", RATE, 0);
  expect(buckets.of("second", RATE, 0)).toBe(second);
  expect(buckets.of("first", RATE, 0)).not.toBe(first);
});
