import { expect, it } from "vitest";
import { RefusalLog } from "../../../scripts/front/refusal-log.ts";

it("the log of refused clients has so many lines, and says how many it has left out", () => {
  let nowMs = 0;
  const lines: string[] = [];
  const log = new RefusalLog(
    (line) => lines.push(line),
    () => nowMs,
  );
  for (let times = 0; times < 1_000; times += 1) log.tell("refused");
  expect(lines).toEqual(Array.from({ length: 20 }, () => "front: refused"));
  nowMs = 5_000;
  log.tell("refused");
  log.tell("refused");
  expect(lines.slice(20)).toEqual(["front: refused (980 such lines were left out before this one)"]);
});
