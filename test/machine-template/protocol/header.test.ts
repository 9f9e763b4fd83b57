import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { crossing, isEventStream, mayCross, OperatorHeader } from "#protocol/header.ts";

const namesOf = (headers: Record<string, string>): string[] => crossing(new Headers(headers)).map(([name]) => name);

describe("the headers that cross the link", () => {
  it.each([
    "content-type",
    "accept",
    "mcp-session-id",
    "mcp-protocol-version",
    "mcp-method",
    "mcp-name",
    "last-event-id",
    "traceparent",
    "user-agent",
    "x-something-new",
    "retry-after",
    "cache-control",
    "etag",
  ])("include %s", (name) => {
    expect(namesOf({ [name]: "value" })).toEqual([name]);
  });

  it.each([
    "connection",
    "keep-alive",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "host",
    "content-length",
    "content-encoding",
    "accept-encoding",
    "authorization",
    "proxy-authorization",
    "www-authenticate",
    "cookie",
    "set-cookie",
    "origin",
    "referer",
    "forwarded",
    "via",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-real-ip",
    "cf-connecting-ip",
    "cf-ray",
    "sec-fetch-mode",
    "access-control-allow-origin",
    "mf-original-url",
    ...Object.values(OperatorHeader),
    "x-operator-error",
    "x-operator-not-invented-yet",
  ])("exclude %s", (name) => {
    expect(namesOf({ [name]: "value", "x-kept": "1" })).toEqual(["x-kept"]);
  });

  it("are compared in lower case", () => {
    expect(namesOf({ "X-Operator-Caller": "eve", COOKIE: "a=1", "X-Kept": "1" })).toEqual(["x-kept"]);
  });

  it("exclude those that Connection names, because they are hop-by-hop", () => {
    const kept = namesOf({
      connection: "close, X-Hop ,mcp-session-id",
      "x-hop": "1",
      "mcp-session-id": "s",
      "x-kept": "1",
    });
    expect(kept).toEqual(["x-kept"]);
  });

  it("keep their values", () => {
    const value = 'a "b", c; d=é';
    expect(crossing(new Headers({ "x-kept": value }))).toEqual([["x-kept", value]]);
  });

  it("exclude everything with the prefix of Operator's own headers", () => {
    fc.assert(fc.property(fc.stringMatching(/^[a-z0-9-]{0,20}$/), (rest) => !mayCross(`x-operator-${rest}`)));
  });
});

it.each<[string | null | undefined, boolean]>([
  ["text/event-stream", true],
  ["Text/Event-Stream", true],
  ["TEXT/EVENT-STREAM; charset=utf-8", true],
  ["\ttext/event-stream", true],
  ["application/json", false],
  ["application/json, text/event-stream", false],
  ["", false],
  [null, false],
  [undefined, false],
])("an answer of type %j is an event stream: %s", (type, isStream) => {
  expect(isEventStream(type)).toBe(isStream);
});
