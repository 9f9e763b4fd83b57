import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { FromConnector, FromScript, parseControl, PING } from "#protocol/control.ts";
import { MAX_EVENTS_PER_FRAME } from "#protocol/limits.ts";

const facts = {
  hostname: "attic.lan",
  os: "linux",
  arch: "x64",
  cpus: 4,
  memoryBytes: 8e9,
  codez: "0.1.0",
  agent: { name: "claude", version: "2.1.329" },
  repos: [{ path: "/src/operator", remote: "git@example.com:operator.git", branch: "main" }, { path: "/src/other" }],
  capabilities: ["events"],
};
const hello = { type: "hello", protocol: 1, stream: "s1", facts };
const event = { atMs: 1, type: "message", session: null, data: { any: ["thing"] } };
const events = (count: number): object => ({
  type: "event",
  first: 1,
  events: Array.from({ length: count }, () => event),
});

const connector = (word: unknown): unknown => parseControl(FromConnector, JSON.stringify(word));
const script = (word: unknown): unknown => parseControl(FromScript, JSON.stringify(word));

describe("a connector's frame", () => {
  it.each([
    ["hello", hello],
    ["a hello that says which dial it is", { ...hello, dial: { connector: "c", start: 0, number: 1 } }],
    ["a hello of a machine with projects", { ...hello, facts: { ...facts, projects: [{ slug: "-src", path: null }] } }],
    ["events", events(MAX_EVENTS_PER_FRAME)],
    ["facts", { type: "facts", facts: { ...facts, agent: null } }],
    ["goodbye", { type: "goodbye", reason: "going to sleep" }],
  ])("is read unchanged: %s", (_, word) => {
    expect(connector(word)).toEqual(word);
  });

  it("may have fields of a later connector, which are ignored", () => {
    expect(connector({ ...hello, mood: "good" })).toEqual(hello);
  });

  it.each([
    ["a hello without facts", { type: "hello", protocol: 1, stream: "s1" }],
    ["a hello of no stream", { ...hello, stream: "" }],
    ["a hello whose stream's name is endless", { ...hello, stream: "s".repeat(65) }],
    ["a hello whose protocol is no whole number", { ...hello, protocol: 1.5 }],
    ["no events", events(0)],
    ["more events than a frame holds", events(MAX_EVENTS_PER_FRAME + 1)],
    ["events counted from zero", { type: "event", first: 0, events: [event] }],
    ["an event of no type", { type: "event", first: 1, events: [{ ...event, type: "" }] }],
    ["an event without a time", { type: "event", first: 1, events: [{ type: "message", session: null, data: 1 }] }],
    [
      "more repositories than a machine may list",
      { ...hello, facts: { ...facts, repos: Array.from({ length: 201 }, () => ({ path: "/" })) } },
    ],
    ["a script's own word", { type: "welcome", protocol: 1, epoch: 1, acked: 0 }],
    ["a type of a later version", { type: "sing" }],
  ])("is refused when it is %s", (_, word) => {
    expect(connector(word)).toBeNull();
  });
});

describe("a script's frame", () => {
  it.each([
    ["welcome", { type: "welcome", protocol: 1, epoch: 3, acked: 0 }],
    ["event-ack", { type: "event-ack", seq: 12 }],
    ["goodbye", { type: "goodbye", reason: "replaced" }],
  ])("is read unchanged: %s", (_, word) => {
    expect(script(word)).toEqual(word);
  });

  it("is refused if only connectors send it", () => {
    expect(script(hello)).toBeNull();
  });
});

it("text that is not a control frame is refused, and reading it never throws", () => {
  for (const text of ["", PING, "null", "[]", '"hello"', "{", '{"type":null}'])
    expect(parseControl(FromConnector, text)).toBeNull();
  fc.assert(fc.property(fc.oneof(fc.string(), fc.json()), (text) => parseControl(FromConnector, text) === null));
});
