import { randomUUID } from "node:crypto";
import { describe, expect, it } from "vitest";
import { CloseCode } from "#protocol/close-code.ts";
import { PROTOCOL_VERSION } from "#protocol/limits.ts";
import { Connector, REFUSAL_GRACE_MS } from "../../../scripts/connector/connector.ts";
import { emptySpool } from "../../../scripts/connector/event-sender.ts";
import { machineFacts } from "../../../scripts/connector/facts.ts";
import { HttpTarget } from "../../../scripts/connector/http-target.ts";
import { connectHttp } from "./support/connected.ts";
import { ManualClock } from "./support/manual-clock.ts";
import { Retries } from "./support/retries.ts";
import { ScriptStandIn } from "./support/script-stand-in.ts";

describe("a connector dials again", () => {
  it.each([1000, 1001, 1011, CloseCode.RESTARTING, CloseCode.SILENT, CloseCode.BAD_FRAME, 4999])(
    "after close code %i",
    async (code) => {
      await using connected = await connectHttp((_, response) => void response.end("{}"));
      connected.link.socket.close(code, "why");
      expect((await (await connected.script.link()).call()).status).toBe(200);
    },
  );

  it("after an answer that is not a WebSocket", async () => {
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
    expect(reasons).toContain("HTTP 503 instead of a WebSocket");
  });

  it("after a dial that nobody took, and says why", async () => {
    const reasons: string[] = [];
    let isAway = false;
    await using connected = await connectHttp((_, response) => void response.end("{}"), {
      credentialsAt: (linkUrl) =>
        Promise.resolve({ linkUrl: isAway ? "ws://127.0.0.1:1/m/attic/link" : linkUrl, token: "right-token" }),
      listener: { offline: (reason) => reasons.push(reason) },
    });
    isAway = true;
    connected.link.socket.terminate();
    await expect.poll(() => reasons.length).toBeGreaterThan(2);
    expect(reasons[1]).toBe("connect ECONNREFUSED 127.0.0.1:1");
    isAway = false;
    await connected.script.link();
  });

  it("soon after a link that was welcomed, however long the outage before it", async () => {
    const clock = new ManualClock();
    const waits: number[] = [];
    await using connected = await connectHttp(() => undefined, {
      clock,
      random: () => 0.5,
      listener: { offline: (_, retryInMs) => waits.push(retryInMs) },
    });
    const { script, link } = connected;
    clock.advance(6_000);
    script.refuse = 503;
    link.socket.terminate();
    for (const ms of [250, 500, 1_000, 1_000]) {
      await clock.waits(ms);
      clock.advance(ms);
    }
    await clock.waits(1_000);
    script.refuse = null;
    clock.advance(1_000);
    const second = await script.link();
    await second.call({ path: "/nowhere" });
    second.socket.terminate(); // young as it is
    await clock.waits(250);
    expect(waits).toEqual([250, 500, 1_000, 1_000, 1_000, 250]);
    clock.advance(250);
    await script.link();
  });

  it.each([CloseCode.RESTARTING, 1001, 1012])(
    "within a second of a restart that was announced with %i",
    async (code) => {
      const clock = new ManualClock();
      await using connected = await connectHttp(() => undefined, { clock, random: () => 0.75 });
      connected.link.socket.close(code, "back soon");
      await clock.waits(750);
      clock.advance(750);
      await connected.script.link();
    },
  );

  it("as after a new loss, if the computer slept during a long wait", async () => {
    const clock = new ManualClock();
    const retries = new Retries(clock);
    const { listener } = retries;
    await using connected = await connectHttp(() => undefined, { clock, random: () => 0.5, listener });
    const { script, link } = connected;
    script.refuse = 503;
    link.socket.terminate();
    await retries.pass(600_000);
    expect(await retries.next()).toBe(15_000);
    clock.sleep(8 * 60 * 60_000);
    expect(await retries.next()).toBe(500);
  });
});

describe("a connector stops", () => {
  it("when another connector took over, without fighting back", async () => {
    await using connected = await connectHttp(() => undefined);
    connected.link.socket.close(CloseCode.REPLACED, "a newer connector took over");
    expect(await connected.stopped).toEqual({ reason: "replaced", message: "a newer connector took over" });
    expect(connected.script.dials).toHaveLength(1);
  });

  it.each([
    ["older", PROTOCOL_VERSION + 1, "protocol_too_old"],
    ["newer", PROTOCOL_VERSION - 1, "protocol_too_new"],
  ])("when its protocol is %s than Operator's", async (_, version, reason) => {
    await using connected = await connectHttp(() => undefined);
    const words = `this Operator speaks protocol ${version}, the connector ${PROTOCOL_VERSION}`;
    connected.link.socket.close(CloseCode.PROTOCOL_TOO_OLD, words);
    expect(await connected.stopped).toEqual({ reason, message: words });
  });

  it("when its token is refused and stays the same for a time of grace", async () => {
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

  it.each([
    ["401 by somebody else", 401, "", "HTTP 401 instead of a WebSocket"],
    ["401 with a page", 401, "<html>sign in to this wifi</html>", "HTTP 401 instead of a WebSocket"],
    ["403", 403, '{"error":{"code":"forbidden","message":"no"}}', "HTTP 403 instead of a WebSocket: no"],
    ["404", 404, "", "HTTP 404 instead of a WebSocket"],
    ["500", 500, '{"error":{"code":"x","message":"it broke"}}', "HTTP 500 instead of a WebSocket: it broke"],
    ["302", 302, "", "HTTP 302 instead of a WebSocket"],
  ])("but not because of %s, however long it lasts", async (_, status, body, shown) => {
    const clock = new ManualClock();
    const retries = new Retries(clock);
    await using connected = await connectHttp((_request, response) => void response.end("{}"), {
      clock,
      random: () => 0.5,
      listener: retries.listener,
    });
    const { script, link } = connected;
    script.refuse = status;
    script.refuseAs = body;
    link.socket.terminate();
    await retries.pass(3 * REFUSAL_GRACE_MS);
    expect(retries.reasons).toContain(shown);
    const lastMs = await retries.next();
    script.refuse = null;
    clock.advance(lastMs);
    expect((await (await script.link()).call()).status).toBe(200);
  });

  it("when Operator refuses it, even if the header of that answer is lost on the way", async () => {
    await using connected = await connectHttp(() => undefined, { refusalGraceMs: 0 });
    const { script, link, stopped } = connected;
    script.refuse = 401;
    script.refuseAs = '{"error":{"code":"unauthorized","message":"Sign in first"}}';
    link.socket.terminate();
    expect(await stopped).toEqual({ reason: "refused" });
  });

  it("when it is asked to stop, after saying goodbye", async () => {
    await using connected = await connectHttp(() => undefined);
    connected.connector.stop("Ctrl-C");
    expect(await connected.stopped).toEqual({ reason: "stopped" });
    expect((await connected.link.closed).code).toBe(1000);
    expect(connected.link.texts).toContain('{"type":"goodbye","reason":"Ctrl-C"}');
  });

  it("when it is asked to stop while nobody answers", async () => {
    const clock = new ManualClock();
    await using connected = await connectHttp(() => undefined, { clock, random: () => 0.5 });
    connected.script.refuse = 503;
    connected.link.socket.terminate();
    await clock.waits(250);
    connected.connector.stop("Ctrl-C");
    expect(await connected.stopped).toEqual({ reason: "stopped" });
  });
});

describe("a connector whose profile changed on disk", () => {
  it.each([
    ["after the old one was refused", null],
    ["after the link was closed as revoked", CloseCode.REVOKED],
  ])("uses the new token %s", async (_, code) => {
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

it("a connector follows its machine to a new name", async () => {
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

it("a connector sends changed facts over the open link", async () => {
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

it("a connector sends facts that changed during the dial once it is welcomed", async () => {
  await using script = await ScriptStandIn.start();
  let hostname = "h";
  const target = new HttpTarget(new URL("http://127.0.0.1:9/mcp"), "attic", "Start it.");
  const connector: Connector = new Connector({
    credentials: () => Promise.resolve({ linkUrl: script.linkUrl, token: "right-token" }),
    renamed: () => Promise.resolve(),
    facts: () => {
      // The hello has what is true when the dial begins. A moment later, something else is.
      queueMicrotask(() => {
        if (hostname === "other") return;
        hostname = "other";
        connector.announce();
      });
      return { ...machineFacts("1"), hostname };
    },
    spool: emptySpool(randomUUID()),
    target,
  });
  const stopped = connector.run();
  const link = await script.link();
  expect(link.hello.facts.hostname).toBe("h");
  await link.until(() => link.texts.length > 0);
  expect(JSON.parse(link.texts[0] ?? "")).toMatchObject({ type: "facts", facts: { hostname: "other" } });
  connector.stop("the test is over");
  await stopped;
  await target.close();
});
