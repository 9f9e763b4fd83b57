import { PassThrough } from "node:stream";
import { setImmediate } from "node:timers/promises";
import { expect, onTestFinished, test, vi } from "vitest";
import { readOutput } from "../../../../scripts/local/workerd/output.ts";
import { OutputPace } from "../../../../scripts/local/workerd/output-pace.ts";

/** Of a hundred lines each: more than are read at once. */
const MOST_CHUNKS = 200;

/** A script that prints `line` without end, and what is read of it. */
function printer(line: string) {
  vi.useFakeTimers({ toFake: ["setTimeout", "performance"] });
  onTestFinished(() => void vi.useRealTimers());
  const stream = new PassThrough();
  const said: string[] = [];
  const told: string[] = [];
  readOutput(stream, ({ message }) => said.push(message), new OutputPace((one) => told.push(one)));
  const chunk = `${line}\n`.repeat(100);
  /** Prints until nobody reads any more. */
  const fill = async (): Promise<number> => {
    for (let chunks = 0; !stream.isPaused(); chunks += 1) {
      if (chunks === MOST_CHUNKS) throw new Error("it is read without a pause");
      stream.write(chunk);
      await setImmediate();
    }
    return said.length;
  };
  return { stream, fill, told };
}

test("of a script that prints lines without end 5,000 are read at once, and then 200 a second", async () => {
  const { fill, told } = printer("a");
  const before = await fill();
  expect(before).toBeGreaterThanOrEqual(5_000);
  expect(before).toBeLessThanOrEqual(5_200);
  let after = before;
  for (let second = 0; second < 30; second += 1) {
    vi.advanceTimersByTime(1_000);
    after = await fill();
  }
  expect(after - before).toBeGreaterThanOrEqual(5_700);
  expect(after - before).toBeLessThanOrEqual(6_300);
  expect(told).toEqual(["it prints more than 200 lines or 1 MB a second, and has to wait"]);
  vi.advanceTimersByTime(60_000);
  await fill();
  vi.advanceTimersByTime(1_000);
  await fill();
  expect(told).toHaveLength(2);
});

test("of long lines 8 MB are read at once, and the rest comes later", async () => {
  const { fill, told } = printer("x".repeat(5_000));
  const before = await fill();
  expect(before).toBeGreaterThanOrEqual(1_500);
  expect(before).toBeLessThanOrEqual(1_700);
  vi.advanceTimersByTime(5_000);
  expect(await fill()).toBeGreaterThan(before);
  expect(told).toHaveLength(1);
});
