import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import type { PushedEvent } from "#protocol/event.ts";
import { MAX_EVENTS_PER_FRAME } from "#protocol/limits.ts";
import { EventSpool } from "../../../scripts/connector/event-spool.ts";
import { connectHttp, type Connected } from "./support/connected.ts";
import type { StandInLink } from "./support/script-stand-in.ts";
import { temporaryFolder } from "./support/temporary-folder.ts";

function events(from: number, to: number): PushedEvent[] {
  return Array.from({ length: to - from + 1 }, (_, index) => ({
    atMs: 1,
    type: "t",
    session: null,
    data: from + index,
  }));
}

function stored(link: StandInLink): unknown[] {
  return link.events.flatMap((frame) => frame.events.map(({ data }) => data));
}

function push({ connector }: Connected, spool: EventSpool, pushed: PushedEvent[]): void {
  spool.append(pushed);
  connector.sendEvents();
}

it("events are sent in order, in frames of limited size, one frame at a time", async () => {
  using folder = temporaryFolder();
  const spool = new EventSpool(join(folder.path, "a.events"));
  spool.append(events(1, 250));
  await using connected = await connectHttp(() => undefined, { spool });
  const { link } = connected;
  await link.until(() => stored(link).length === 250);
  expect(link.events.map(({ first }) => first)).toEqual([1, 101, 201]);
  expect(link.events[0]?.events).toHaveLength(MAX_EVENTS_PER_FRAME);
  expect(stored(link)).toEqual(events(1, 250).map(({ data }) => data));
  push(connected, spool, events(251, 251));
  await link.until(() => stored(link).length === 251);
  await link.call({ path: "/nowhere" });
  expect(spool.waiting).toBe(0);
});

it("unacknowledged events are kept, and sent again on the next link", async () => {
  using folder = temporaryFolder();
  const spool = new EventSpool(join(folder.path, "a.events"));
  await using connected = await connectHttp(() => undefined, { spool });
  const { link, script } = connected;
  link.acknowledges = false;
  push(connected, spool, events(1, 2));
  await link.until(() => link.events.length === 1);
  push(connected, spool, events(3, 3)); // waits behind the frame that nobody acknowledged
  link.socket.terminate();
  const again = await script.link();
  await again.until(() => stored(again).length === 3);
  expect(again.events.map(({ first }) => first)).toEqual([1]);
  expect(again.hello.stream).toBe(link.hello.stream);
});

it("events that the script already has are not sent again when only their acknowledgement was lost", async () => {
  using folder = temporaryFolder();
  const path = join(folder.path, "a.events");
  new EventSpool(path).append(events(1, 5));
  await using connected = await connectHttp(() => undefined, { spool: new EventSpool(path), ackedAtFirst: 3 });
  const { link } = connected;
  await link.until(() => stored(link).length > 0);
  expect(stored(link)).toEqual([4, 5]);
  expect(link.events[0]?.first).toBe(4);
});

it("a gap in the numbers, where the spool dropped some, stays a gap", async () => {
  using folder = temporaryFolder();
  const spool = new EventSpool(join(folder.path, "a.events"));
  spool.append(events(1, 3));
  spool.acknowledge(2);
  await using connected = await connectHttp(() => undefined, { spool });
  await connected.link.until(() => connected.link.events.length === 1);
  expect(connected.link.events[0]).toMatchObject({ first: 3, events: events(3, 3) });
});

it("a gap where a line of the file was damaged separates two frames", async () => {
  using folder = temporaryFolder();
  const path = join(folder.path, "a.events");
  const damaged = new EventSpool(path);
  for (const one of events(1, 4)) damaged.append([one]);
  const lines = readFileSync(path, "utf8").split("\n");
  writeFileSync(path, lines.map((line, index) => (index === 2 ? "damaged" : line)).join("\n"));
  await using connected = await connectHttp(() => undefined, { spool: new EventSpool(path) });
  const { link } = connected;
  await link.until(() => stored(link).length === 3);
  expect(link.events.map(({ first, events: sent }) => [first, sent.map(({ data }) => data)])).toEqual([
    [1, [1]],
    [3, [3, 4]],
  ]);
});

it("calls pass while a thousand events wait to be acknowledged", async () => {
  using folder = temporaryFolder();
  const spool = new EventSpool(join(folder.path, "a.events"));
  await using connected = await connectHttp((_, response) => void response.end("{}"), { spool });
  connected.link.acknowledges = false;
  push(connected, spool, events(1, 1_000));
  expect((await connected.link.call({}, "{}")).status).toBe(200);
});
