import { spawnSync } from "node:child_process";
import { appendFileSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import type { PushedEvent } from "#protocol/event.ts";
import { MAX_EVENT_BYTES } from "#protocol/limits.ts";
import { DISK_EVENT, DISK_RETRY_MS, EventSpool, SPOOL_CHARACTERS } from "../../../scripts/connector/event-spool.ts";
import { spoolFileAt, type SpoolFile } from "../../../scripts/connector/spool-file.ts";
import { temporaryFolder } from "./support/temporary-folder.ts";

function event(data: unknown): PushedEvent {
  return { atMs: 1, type: "t", session: null, data };
}

function numbers(spool: EventSpool, after = 0): number[] {
  return spool.after(after, 1_000).map(({ seq }) => seq);
}

it("the spool keeps its name, its events and its numbers from one process to the next", () => {
  using folder = temporaryFolder();
  const path = join(folder.path, "a.events");
  const first = new EventSpool(path);
  first.append([event(1), event(2)], "cursor-2");
  first.append([event(3)]);
  const second = new EventSpool(path);
  expect(second.stream).toBe(first.stream);
  expect(second.after(0, 10).map(({ json }) => JSON.parse(json))).toEqual([event(1), event(2), event(3)]);
  expect(second.cursor).toBe("cursor-2");
  second.append([event(4)]);
  expect(numbers(second)).toEqual([1, 2, 3, 4]);
});

it("the spool counts the processes that open it, even after an older codez that did not count", () => {
  using folder = temporaryFolder();
  const path = join(folder.path, "a.events");
  writeFileSync(path, '{"stream":"s","last":4,"cursor":null}\n');
  expect([1, 2, 3].map(() => new EventSpool(path).start)).toEqual([1, 2, 3]);
  expect(new EventSpool(path).stream).toBe("s");
});

it("the spool continues its numbering after everything was acknowledged", () => {
  using folder = temporaryFolder();
  const path = join(folder.path, "a.events");
  const first = new EventSpool(path);
  first.append([event(1), event(2)], "c");
  first.acknowledge(2);
  const second = new EventSpool(path);
  expect(second.waiting).toBe(0);
  expect(second.cursor).toBe("c");
  second.append([event(3)]);
  expect(numbers(second)).toEqual([3]);
});

it("the spool loses nothing that was appended before a kill -9", () => {
  using folder = temporaryFolder();
  const path = join(folder.path, "a.events");
  const module = new URL("../../../scripts/connector/event-spool.ts", import.meta.url).href;
  const program = `
    const { EventSpool } = await import(${JSON.stringify(module)});
    const spool = new EventSpool(${JSON.stringify(path)});
    for (let at = 1; at <= 50; at += 1) spool.append([{ atMs: at, type: "t", session: null, data: at }]);
    process.kill(process.pid, "SIGKILL");
  `;
  const { signal } = spawnSync(process.execPath, ["--input-type=module", "-e", program]);
  expect(signal).toBe("SIGKILL");
  expect(numbers(new EventSpool(path))).toEqual(Array.from({ length: 50 }, (_, index) => index + 1));
});

it("the spool skips and counts invalid lines, and an incomplete line does not damage the next", () => {
  using folder = temporaryFolder();
  const path = join(folder.path, "a.events");
  new EventSpool(path).append([event(1), event(2)]);
  appendFileSync(
    path,
    'garbage\n{"seq":2,"event":{}}\n{"seq":1,"event":{"atMs":1,"type":"t","session":null,"data":0}}\n{"seq":3,"eve',
  );
  const spool = new EventSpool(path);
  expect(spool.corrupt).toBe(4);
  spool.append([event(3)]);
  const again = new EventSpool(path);
  expect(again.corrupt).toBe(0);
  expect(again.after(0, 10).map(({ json }) => JSON.parse(json).data)).toEqual([1, 2, 3]);
});

it("the spool starts a new stream when the file has lost its head", () => {
  using folder = temporaryFolder();
  const path = join(folder.path, "a.events");
  const first = new EventSpool(path);
  first.append([event(1)]);
  writeFileSync(path, `broken${readFileSync(path, "utf8")}`);
  const second = new EventSpool(path);
  expect(second.stream).not.toBe(first.stream);
  expect(second.corrupt).toBe(2);
  second.append([event(2)]);
  expect(numbers(second)).toEqual([1]);
});

it("the spool drops the oldest half at its limit, reports the number, and stays within the limit on disk", () => {
  using folder = temporaryFolder();
  const path = join(folder.path, "a.events");
  const spool = new EventSpool(path);
  const large = "x".repeat(60_000);
  const enough = Math.ceil(SPOOL_CHARACTERS / large.length) + 1;
  for (let count = 0; count < enough; count += 1) spool.append([event(large)]);
  expect(spool.dropped).toBeGreaterThan(0);
  expect(spool.dropped + spool.waiting).toBe(enough);
  expect(numbers(spool).at(-1)).toBe(enough);
  expect(statSync(path).size).toBeLessThan(SPOOL_CHARACTERS * 1.1);
});

it("the spool keeps only the size of an oversized event", () => {
  using folder = temporaryFolder();
  const spool = new EventSpool(join(folder.path, "a.events"));
  spool.append([
    event("x".repeat(MAX_EVENT_BYTES)),
    { atMs: 1, type: "t".repeat(100), session: null, data: undefined },
  ]);
  const [large, long] = spool.after(0, 2).map(({ json }) => JSON.parse(json));
  expect(large.data).toEqual({ truncated: true, bytes: MAX_EVENT_BYTES + 2 });
  expect(long).toEqual({ atMs: 1, type: "t".repeat(64), session: null, data: null });
});

it("the spool can be read only by its owner", () => {
  using folder = temporaryFolder();
  const path = join(folder.path, "a.events");
  new EventSpool(path).append([event(1)]);
  expect(statSync(path).mode & 0o777).toBe(0o600);
});

/** A disk that a test fills, in front of the real one. */
class FillableFile implements SpoolFile {
  isFull = false;
  readonly #real: SpoolFile;

  constructor(path: string) {
    this.#real = spoolFileAt(path);
  }

  append(text: string): void {
    if (this.isFull) {
      this.#real.append(text.slice(0, text.length / 2)); // what a full disk still takes
      throw full();
    }
    this.#real.append(text);
  }

  replace(text: string): void {
    if (this.isFull) throw full();
    this.#real.replace(text);
  }
}

function full(): Error {
  return Object.assign(new Error("ENOSPC: no space left on device, write"), { code: "ENOSPC", syscall: "write" });
}

describe("a full disk", () => {
  function setUp(folder: string) {
    const path = join(folder, "a.events");
    const file = new FillableFile(path);
    const clock = { nowMs: 1_000_000 };
    const faults: (string | null)[] = [];
    const open = () =>
      new EventSpool(path, {
        file,
        nowMs: () => clock.nowMs,
        faultChanged: (fault) => faults.push(fault === null ? null : fault.reason),
      });
    return { path, file, clock, faults, open };
  }

  it("stops nothing: stored events are sent and acknowledged, and new ones wait for room", () => {
    using folder = temporaryFolder();
    const { file, clock, faults, open } = setUp(folder.path);
    const spool = open();
    spool.append([event(1), event(2)]);
    file.isFull = true;
    spool.append([event(3)]);
    spool.append([event(4)]);
    expect(numbers(spool)).toEqual([1, 2]);
    spool.acknowledge(2);
    expect(numbers(spool)).toEqual([]);
    expect(faults).toEqual(["the disk is full"]);
    expect(spool.fault?.reason).toBe("the disk is full");
    file.isFull = false;
    clock.nowMs += DISK_RETRY_MS;
    spool.retry();
    expect(numbers(spool)).toEqual([3, 4, 5]); // the last one tells of the failure
  });

  it("stores all waiting events once it has room, with an event that tells since when it had none", () => {
    using folder = temporaryFolder();
    const { path, file, clock, faults, open } = setUp(folder.path);
    const spool = open();
    file.isFull = true;
    spool.append([event(1)], "cursor-1");
    file.isFull = false;
    spool.retry(); // too soon to try again
    expect(spool.fault).not.toBeNull();
    clock.nowMs += DISK_RETRY_MS;
    spool.retry();
    expect(faults).toEqual(["the disk is full", null]);
    const again = new EventSpool(path);
    expect(again.corrupt).toBe(0);
    expect(again.cursor).toBe("cursor-1");
    const [first, told] = again.after(0, 10).map(({ json }) => JSON.parse(json));
    expect(first).toEqual(event(1));
    expect(told).toMatchObject({
      type: DISK_EVENT,
      data: { reason: "the disk is full", sinceMs: 1_000_000, untilMs: 1_000_000 + DISK_RETRY_MS, dropped: 0 },
    });
  });

  it("does not prevent a start with the file's events", () => {
    using folder = temporaryFolder();
    const { file, faults, open } = setUp(folder.path);
    const first = open();
    first.append([event(1), event(2)]);
    file.isFull = true;
    const second = open();
    expect(numbers(second)).toEqual([1, 2]);
    expect(second.stream).toBe(first.stream);
    expect(faults).toEqual(["the disk is full"]);
  });

  it("and a kill lose events together with their cursor, so that fetching again repeats none", () => {
    using folder = temporaryFolder();
    const { file, open } = setUp(folder.path);
    const killed = open();
    killed.append([event(1)], "after 1");
    file.isFull = true;
    killed.append([event(2), event(3), event(4)], "after 4"); // the disk takes half of it
    killed.append([event(5)], "after 5");
    expect(numbers(killed)).toEqual([1]);
    file.isFull = false;
    const next = open();
    expect([numbers(next), next.cursor]).toEqual([[1], "after 1"]);
  });

  it("does not confuse the numbers if the file is older than what the script has stored", () => {
    using folder = temporaryFolder();
    const { path, open } = setUp(folder.path);
    open().append([event(1)]);
    const copy = readFileSync(path);
    open().append([event(2), event(3)]);
    writeFileSync(path, copy); // an older copy was put back, and the script says that it has 3
    const next = open();
    next.append([event("new")]); // has the number 2, which the script has seen
    next.begin(3);
    expect(next.after(3, 10)).toMatchObject([{ seq: 4, json: JSON.stringify(event("new")) }]);
    next.append([event("newer")]);
    expect(numbers(next, 3)).toEqual([4, 5]);
  });

  it("reads a file of codez 0.2, with a line for each event", () => {
    using folder = temporaryFolder();
    const { path, open } = setUp(folder.path);
    const lines = [
      { stream: "s", last: 4, cursor: "after 4", start: 2 },
      { seq: 5, event: event(5) },
      { seq: 6, cursor: "after 6", event: event(6) },
    ];
    writeFileSync(path, lines.map((line) => `${JSON.stringify(line)}\n`).join(""));
    const spool = open();
    expect([numbers(spool), spool.cursor, spool.corrupt]).toEqual([[5, 6], "after 6", 0]);
  });

  it("leaves no partial file behind, and a folder that disappears stops nothing", () => {
    using folder = temporaryFolder();
    const home = join(folder.path, "home");
    mkdirSync(home);
    const spool = new EventSpool(join(home, "a.events"));
    rmSync(home, { recursive: true });
    spool.append([event(1)]);
    expect(spool.waiting).toBe(1);
    expect(spool.fault?.reason).toContain("ENOENT");
  });
});
