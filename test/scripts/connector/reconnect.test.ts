import { describe, expect, it } from "vitest";
import { CloseCode } from "#protocol/close-code.ts";
import { PROTOCOL_VERSION } from "#protocol/limits.ts";
import { REFUSAL_GRACE_MS } from "../../../scripts/connector/connector.ts";
import { connectHttp } from "./support/connected.ts";
import { ManualClock } from "./support/manual-clock.ts";

describe("a link that ends is dialled again", () => {
  it.each([1000, 1001, 1011, CloseCode.RESTARTING, CloseCode.SILENT, CloseCode.BAD_FRAME, 4999])(
    "after close code %i",
    async (code) => {
      await using connected = await connectHttp((_, response) => void response.end("{}"));
      connected.link.socket.close(code, "why");
      expect((await (await connected.script.link()).call()).status).toBe(200);
    },
  );

  it("after an answer that is no WebSocket", async () => {
    const reasons: string[] = [];
    await using connected = await connectHttp((_, response) => void response.end("{}"), {
      listener: { offline: (reason) => reasons.push(reason) },
    });
    const { script, link } = connected;
    script.refuse = 503;
    link.socket.terminate();
    await script.refusedTimes(3);
    script.refuse = null;
    await script.link();
    expect(reasons).toContain("HTTP 503 in place of a WebSocket");
  });

  it("at random within a ceiling that doubles, and from the beginning after a link that lasted", async () => {
    const clock = new ManualClock();
    const waits: number[] = [];
    await using connected = await connectHttp(() => undefined, {
      clock,
      random: () => 0.5,
      listener: { offline: (_, retryInMs) => waits.push(retryInMs) },
    });
    const { script, link } = connected;
    clock.advance(60_000 / 10); // longer than a link must last to count
    script.refuse = 503;
    link.socket.terminate();
    for (const ms of [250, 500, 1_000, 2_000, 4_000, 8_000, 15_000, 15_000]) {
      await clock.waits(ms);
      clock.advance(ms);
    }
    await clock.waits(15_000);
    script.refuse = null;
    clock.advance(15_000);
    const second = await script.link();
    await second.call({ path: "/nowhere" });
    clock.advance(10_000);
    second.socket.terminate();
    await clock.waits(250);
    expect(waits).toEqual([250, 500, 1_000, 2_000, 4_000, 8_000, 15_000, 15_000, 15_000, 250]);
    clock.advance(250);
    await script.link();
  });
});

describe("what ends it for good", () => {
  it("another connector that took over: it does not fight back", async () => {
    await using connected = await connectHttp(() => undefined);
    connected.link.socket.close(CloseCode.REPLACED, "a newer connector took over");
    expect(await connected.stopped).toEqual({ reason: "replaced", message: "a newer connector took over" });
    expect(connected.script.dials).toHaveLength(1);
  });

  it("a protocol that is too old", async () => {
    await using connected = await connectHttp(() => undefined);
    connected.link.socket.close(CloseCode.PROTOCOL_TOO_OLD, `speak ${PROTOCOL_VERSION + 1}`);
    expect(await connected.stopped).toMatchObject({ reason: "protocol_too_old" });
  });

  it("a token that is refused and stays the same, after a time of grace", async () => {
    const clock = new ManualClock();
    await using connected = await connectHttp(() => undefined, { clock, random: () => 0.5 });
    const { script, link, stopped } = connected;
    script.token = "another";
    link.socket.close(CloseCode.REVOKED, "the machine was removed");
    await clock.waits(250);
    clock.advance(REFUSAL_GRACE_MS);
    expect(await stopped).toEqual({ reason: "revoked", message: "the machine was removed" });
    expect(script.refusals).toEqual([401]);
  });

  it("being asked to stop: it says goodbye and hangs up", async () => {
    await using connected = await connectHttp(() => undefined);
    connected.connector.stop("Ctrl-C");
    expect(await connected.stopped).toEqual({ reason: "stopped" });
    expect((await connected.link.closed).code).toBe(1000);
    expect(connected.link.texts).toContain('{"type":"goodbye","reason":"Ctrl-C"}');
  });

  it("being asked to stop while nobody answers", async () => {
    const clock = new ManualClock();
    await using connected = await connectHttp(() => undefined, { clock, random: () => 0.5 });
    connected.script.refuse = 503;
    connected.link.socket.terminate();
    await clock.waits(250);
    connected.connector.stop("Ctrl-C");
    expect(await connected.stopped).toEqual({ reason: "stopped" });
  });
});

describe("a token that changed on disk", () => {
  it.each([
    ["after the old one was refused", null],
    ["after the link was closed as revoked", CloseCode.REVOKED],
  ])("is used %s", async (_, code) => {
    let token = "right-token";
    const { promise: isRefused, resolve } = Promise.withResolvers<void>();
    await using connected = await connectHttp((_request, response) => void response.end("{}"), {
      credentialsAt: (linkUrl) => Promise.resolve({ linkUrl, token }),
      listener: { offline: () => resolve() },
    });
    const { script, link } = connected;
    script.token = "new-token";
    if (code === null) link.socket.terminate();
    else link.socket.close(code, "the token was rotated");
    await isRefused;
    await script.refusedTimes(1);
    token = "new-token";
    expect((await (await script.link()).call()).status).toBe(200);
  });
});

it("follows its machine to a new name", async () => {
  let path = "/m/attic/link";
  await using connected = await connectHttp((_, response) => void response.end("{}"), {
    credentialsAt: (url) => Promise.resolve({ linkUrl: new URL(path, url).href, token: "right-token" }),
    renamed: (name) => {
      path = `/m/${name}/link`;
      return Promise.resolve();
    },
  });
  connected.link.socket.close(CloseCode.RENAMED, "loft");
  expect((await (await connected.script.link()).call()).status).toBe(200);
  expect(connected.script.dials).toEqual(["/m/attic/link", "/m/loft/link"]);
});

it("says changed facts on the link that is up", async () => {
  const facts = {
    hostname: "h",
    os: "o",
    arch: "a",
    cpus: 1,
    memoryBytes: 1,
    codez: "1",
    agent: null,
    repos: [],
    capabilities: [],
  };
  await using connected = await connectHttp(() => undefined, { facts: () => facts });
  await connected.link.call({ path: "/nowhere" });
  facts.hostname = "other";
  connected.connector.announce();
  await connected.link.until(() => connected.link.texts.length > 0);
  expect(JSON.parse(connected.link.texts[0] ?? "")).toMatchObject({ type: "facts", facts: { hostname: "other" } });
});
