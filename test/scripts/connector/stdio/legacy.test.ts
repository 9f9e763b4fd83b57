import { describe, expect, it } from "vitest";
import { FrameKind } from "#protocol/frame.ts";
import { CHILD_IDLE_MS, StdioTarget, SWEEP_MS } from "../../../../scripts/connector/stdio/stdio-target.ts";
import { MAY_HAVE_RUN } from "../support/may-have-run.ts";
import { connect } from "../support/connected.ts";
import { ManualClock } from "../support/manual-clock.ts";
import type { StandInLink } from "../support/script-stand-in.ts";
import { connectStdio, gone, LegacyClient, pidIn, rawServer } from "./support/stdio-client.ts";

const FRAGILE =
  '{"jsonrpc":"2.0",  "result":{ "big":9007199254740993,  "one":1.0, "a":1,"a":2, "e":"\\u0061", "é":"日本" },"id":1}';

describe("a session of the 2025 revisions at a stdio server", () => {
  it("is opened by initialize, which returns the session's id", async () => {
    await using connected = await connectStdio();
    const answer = await connected.link.call(
      { headers: [["accept", "application/json, text/event-stream"]] },
      '{"jsonrpc":"2.0","id":"i","method":"initialize","params":{}}',
    );
    expect(answer.status).toBe(200);
    expect(answer.headers.get("mcp-session-id")).toMatch(/^[\x21-\x7e]{16,}$/);
    expect(JSON.parse(answer.text)).toMatchObject({ id: "i", result: { protocolVersion: "2025-11-25" } });
  });

  it("returns the server's bytes unchanged", async () => {
    await using connected = await connectStdio();
    const client = await LegacyClient.open(connected.link);
    expect(await client.call("fragile")).toMatchObject({ text: FRAGILE, frames: 1 });
    expect((await client.call("crlf")).text).toBe('{"jsonrpc":"2.0",\r"result":{},"id":1}');
  });

  it("forwards the client's bytes unchanged, in one line", async () => {
    await using connected = await connectStdio();
    const client = await LegacyClient.open(connected.link);
    const body =
      '{"jsonrpc":"2.0",\r\n "id":1,\n"method":"tools/call", "params":{"name":"line","big":9007199254740993,"e":"\\u0061\\n"}}';
    const { result } = JSON.parse((await client.post(body)).text);
    expect(result.line).toBe(body.replaceAll(/[\r\n]/g, " "));
  });

  it("carries 5 MB in one message", async () => {
    await using connected = await connectStdio();
    const client = await LegacyClient.open(connected.link);
    expect(JSON.parse((await client.call("large")).text).result.text).toHaveLength(5 * 1024 * 1024);
  });

  it("has a process of its own, and its messages never reach another session", async () => {
    await using connected = await connectStdio();
    const [one, two] = [await LegacyClient.open(connected.link), await LegacyClient.open(connected.link)];
    expect(pidIn(await one.call("pid"))).not.toBe(pidIn(await two.call("pid")));
    const streams = [one.listen(), two.listen()];
    const waiting = two.start("hang", "7");
    one.start("notify", "7"); // says something unasked, and does not answer
    const { link } = connected;
    const heard = (): StandInLink["frames"] =>
      link.frames.filter((frame) => "body" in frame && Buffer.from(frame.body).includes("unasked"));
    await link.until(() => heard().length > 0);
    await two.call("pid");
    expect(heard()).toHaveLength(1);
    expect([streams[1], waiting]).not.toContain(heard()[0]?.exchange);
  });

  it("answers with a stream when progress comes first, on the stream of the request that asked for it", async () => {
    await using connected = await connectStdio();
    const client = await LegacyClient.open(connected.link);
    const exchange = client.start("later", "6", ',"_meta":{"progressToken":"mine"}');
    const other = client.start("hang", "7", ',"_meta":{"progressToken":"other"}');
    await client.post('{"jsonrpc":"2.0","method":"notifications/go"}');
    const answer = await connected.link.answerOf(exchange);
    expect(connected.link.frames.some((frame) => frame.exchange === other)).toBe(false);
    expect(answer.headers.get("content-type")).toBe("text/event-stream");
    expect(answer.text).toBe(
      'event: message\ndata: {"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":"mine","progress":1}}\n\n' +
        'event: message\ndata: {"jsonrpc":"2.0","id":6,"result":{"done":true}}\n\n',
    );
  });

  it("lets the server ask its client", async () => {
    await using connected = await connectStdio();
    const client = await LegacyClient.open(connected.link);
    const { link } = connected;
    const exchange = client.start("ask");
    const frames = link.framesOf(exchange);
    const { value } = await frames.next();
    expect(value).toMatchObject({ kind: FrameKind.RESPONSE, end: false });
    expect(Buffer.from(value?.kind === FrameKind.RESPONSE ? value.body : "").toString()).toContain(
      "sampling/createMessage",
    );
    expect((await client.post('{"jsonrpc":"2.0","id":"server-1","result":{"text":"42"}}')).status).toBe(202);
    const last = (await frames.next()).value;
    expect(Buffer.from(last?.kind === FrameKind.BODY ? last.body : "").toString()).toContain('"heard":{"text":"42"}');
    expect(last).toMatchObject({ end: true });
  });

  it("sends messages that belong to no request to the GET stream, of which there is one", async () => {
    await using connected = await connectStdio();
    const client = await LegacyClient.open(connected.link);
    const { link } = connected;
    await client.post('{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":99}}');
    await client.callPlainly("pid"); // the server has said it by now, and there was no stream for it
    const stream = client.listen();
    await link.until(() =>
      link.frames.some((frame) => frame.exchange === stream && "body" in frame && frame.body.length > 0),
    );
    const text = link.frames
      .flatMap((frame) => (frame.exchange === stream && "body" in frame ? [Buffer.from(frame.body).toString()] : []))
      .join("");
    expect(text).toBe(
      'event: message\ndata: {"jsonrpc":"2.0","method":"notifications/message","params":{"data":"cancelled 99"}}\n\n',
    );
    expect((await link.answerOf(client.listen())).status).toBe(409);
    link.send({ kind: FrameKind.CANCEL, exchange: stream, reason: "gone" });
    const next = client.listen();
    await link.until(() => link.frames.some((frame) => frame.exchange === next));
  });

  it("is told of a cancelled request, whose stream then ends", async () => {
    await using connected = await connectStdio();
    const client = await LegacyClient.open(connected.link);
    const exchange = client.start("hang", "3");
    expect(
      (await client.post('{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":3}}')).status,
    ).toBe(202);
    expect((await connected.link.answerOf(exchange)).text).not.toContain("result");
  });

  it("accepts a batch", async () => {
    await using connected = await connectStdio();
    const client = await LegacyClient.open(connected.link);
    const answer = await client.post(
      '[{"jsonrpc":"2.0","id":1,"method":"a"},{"jsonrpc":"2.0","id":"b","method":"b"},{"jsonrpc":"2.0","method":"c"}]',
    );
    expect(answer.text).toContain('"id":1,');
    expect(answer.text).toContain('"id":"b",');
  });

  it("ignores other text that the server prints", async () => {
    await using connected = await connectStdio();
    const client = await LegacyClient.open(connected.link);
    expect(await client.call("noise")).toMatchObject({ status: 200, text: '{"jsonrpc":"2.0","id":1,"result":{}}' });
  });

  it("is answered with 404 if it is unknown, and with 400 if it is missing or the body is not JSON", async () => {
    await using connected = await connectStdio();
    const { link } = connected;
    const ping = '{"jsonrpc":"2.0","id":1,"method":"ping"}';
    for (const method of ["POST", "GET", "DELETE"])
      expect(
        (await link.call({ method, headers: [["mcp-session-id", "gone"]] }, method === "POST" ? ping : "")).status,
      ).toBe(404);
    expect((await link.call({}, ping)).status).toBe(400);
    expect((await link.call({}, "{")).status).toBe(400);
    expect((await link.call({ method: "GET" })).status).toBe(405);
  });

  it.each([
    ["and left no stream open", false],
    ["and whose stream nobody has found dead yet", true],
  ])("above the limit replaces the least recently used one %s", async (_, listens) => {
    const clock = new ManualClock();
    await using connected = await connect(new StdioTarget(rawServer(), "attic", { maxSessions: 2, clock }));
    const { link } = connected;
    const clients = [await LegacyClient.open(link), await LegacyClient.open(link)] as const;
    const pid = pidIn(await clients[1].call("pid"));
    clock.advance(1);
    await clients[0].call("pid");
    if (listens) for (const client of clients) client.listen();
    const third = await LegacyClient.open(link);
    await gone(pid);
    expect((await clients[1].call("pid")).status).toBe(404);
    expect((await clients[0].call("pid")).status).toBe(200);
    expect((await third.call("pid")).status).toBe(200);
  });

  it("opens for each of many clients that leave without closing it", async () => {
    await using connected = await connect(new StdioTarget(rawServer(), "attic", { maxSessions: 2 }));
    for (let count = 0; count < 12; count += 1) {
      const client = await LegacyClient.open(connected.link);
      client.listen();
    }
  });

  it("above the limit is refused while all others have waiting clients, and the refusal says what the limit counts", async () => {
    await using connected = await connect(new StdioTarget(rawServer(), "attic", { maxSessions: 2 }));
    const { link } = connected;
    const clients = [await LegacyClient.open(link), await LegacyClient.open(link)] as const;
    const calls = clients.map((client) => client.start("hang"));
    const answer = await link.call({}, '{"jsonrpc":"2.0","id":1,"method":"initialize"}');
    expect(answer.status).toBe(429);
    expect(JSON.parse(answer.text)).toMatchObject({
      id: 1,
      error: {
        message: expect.stringContaining("2 MCP sessions open"),
        data: { code: "machine_busy", counts: "sessions", retryable: true },
      },
    });
    // A call that its client gave up goes on, but holds no place.
    link.send({ kind: FrameKind.CANCEL, exchange: calls[0] ?? 0, reason: "the caller went away" });
    await LegacyClient.open(link);
  });
});

describe("the process of a session", () => {
  it("ends when nobody has used it for a long time, however its client left", async () => {
    const clock = new ManualClock();
    await using connected = await connect(new StdioTarget(rawServer(), "attic", { clock }));
    const { link } = connected;
    const client = await LegacyClient.open(link);
    const pid = pidIn(await client.call("pid"));
    const stream = client.listen();
    const call = client.start("hang", "5", ',"_meta":{"progressToken":1}');
    await client.post('{"jsonrpc":"2.0","method":"notifications/none"}');
    clock.advance(CHILD_IDLE_MS + SWEEP_MS);
    expect((await client.post('{"jsonrpc":"2.0","method":"notifications/none"}')).status).toBe(202); // still in use
    for (const exchange of [stream, call]) link.send({ kind: FrameKind.CANCEL, exchange, reason: "gone" });
    await client.post('{"jsonrpc":"2.0","method":"notifications/none"}');
    clock.advance(CHILD_IDLE_MS + SWEEP_MS);
    await gone(pid);
    expect((await client.call("pid")).status).toBe(404);
  });

  it("receives writes on its event stream while it is silent, so that a disconnect is noticed", async () => {
    const clock = new ManualClock();
    await using connected = await connect(new StdioTarget(rawServer(), "attic", { clock }));
    const client = await LegacyClient.open(connected.link);
    const frames = connected.link.framesOf(client.listen());
    await frames.next();
    clock.advance(SWEEP_MS);
    const { value } = await frames.next();
    expect(Buffer.from(value !== undefined && "body" in value ? value.body : "").toString()).toBe(": keep-alive\n\n");
  });

  it("ends with the session", async () => {
    await using connected = await connectStdio();
    const client = await LegacyClient.open(connected.link);
    const pid = pidIn(await client.call("pid"));
    expect((await client.end()).status).toBe(200);
    await gone(pid);
    expect((await client.call("pid")).status).toBe(404);
  });

  it("ends with the connector, like all the processes that it started, even stubborn ones", async () => {
    const pids: number[] = [];
    {
      await using connected = await connectStdio();
      const client = await LegacyClient.open(connected.link);
      pids.push(pidIn(await client.call("stubborn")), pidIn(await client.call("child")));
    }
    await Promise.all(pids.map((pid) => gone(pid)));
  });

  it("answers every caller at once with its last output if it crashes, and the session is gone", async () => {
    await using connected = await connectStdio();
    const client = await LegacyClient.open(connected.link);
    const stream = client.listen();
    const waiting = client.start("hang", '"w"');
    const crashed = await client.call("crash", "9007199254740993");
    expect(crashed.status).toBe(502);
    expect(crashed.text).toContain('"id":9007199254740993,');
    const { error } = JSON.parse(crashed.text);
    expect(error.data).toMatchObject({ code: "machine_failed", machine: "attic" });
    expect(error.message).toContain("exit code 3");
    expect(error.message).toContain(MAY_HAVE_RUN);
    expect(error.message).toContain("something broke\nno more disk");
    expect(JSON.parse((await connected.link.answerOf(waiting)).text)).toMatchObject({
      id: "w",
      error: { message: expect.stringContaining(MAY_HAVE_RUN), data: { code: "machine_failed" } },
    });
    await connected.link.answerOf(stream);
    expect((await client.call("pid")).status).toBe(404);
  });

  it("reports that the call may have run if it is killed, on its event stream as well", async () => {
    await using connected = await connectStdio();
    const client = await LegacyClient.open(connected.link);
    const pid = pidIn(await client.call("pid"));
    const plain = client.start("hang", '"p"');
    const streaming = client.start("half", '"s"', ',"_meta":{"progressToken":"t"}');
    await connected.link.until(() => connected.link.frames.some((frame) => frame.exchange === streaming));
    process.kill(pid, "SIGKILL");
    for (const [exchange, id] of [
      [plain, "p"],
      [streaming, "s"],
    ] as const) {
      const { text } = await connected.link.answerOf(exchange);
      expect(text).toContain(`"id":"${id}"`);
      expect(text).toContain(MAY_HAVE_RUN);
    }
  });

  it("may end after its answer, which still arrives", async () => {
    await using connected = await connectStdio();
    const client = await LegacyClient.open(connected.link);
    expect(await client.call("last")).toMatchObject({
      status: 200,
      text: '{"jsonrpc":"2.0","id":1,"result":{"last":true}}',
    });
  });
});
