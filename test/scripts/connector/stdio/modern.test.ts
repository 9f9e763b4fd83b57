import { expect, it } from "vitest";
import { FrameKind } from "#protocol/frame.ts";
import { CHILD_IDLE_MS, StdioTarget, SWEEP_MS } from "../../../../scripts/connector/stdio/stdio-target.ts";
import { MAY_HAVE_RUN } from "../support/may-have-run.ts";
import { connect } from "../support/connected.ts";
import { ManualClock } from "../support/manual-clock.ts";
import { connectStdio, gone, modern, modernMethod, pidIn, rawServer } from "./support/stdio-client.ts";

it("a server of 2026-07-28 has one process for all callers, and each caller gets its own answer under its own id", async () => {
  await using connected = await connectStdio("--modern");
  const { link } = connected;
  const [one, two] = await Promise.all([1, 1].map((id) => link.answerOf(modern(link, "pid", `${id}`))));
  if (one === undefined || two === undefined) throw new Error("no answers");
  expect(pidIn(one)).toBe(pidIn(two));
  expect(JSON.parse((await link.answerOf(modern(link, "pid", '"\\u0061"'))).text).id).toBe("a");
});

it("every byte except the ids is kept", async () => {
  await using connected = await connectStdio("--modern");
  const { link } = connected;
  const { text } = await link.answerOf(modern(link, "fragile", "9007199254740993"));
  expect(text).toBe(
    '{"jsonrpc":"2.0",  "result":{ "big":9007199254740993,  "one":1.0, "a":1,"a":2, "e":"\\u0061", "é":"日本" },"id":9007199254740993}',
  );
});

it("callers with the same id and progress token at the same time are kept apart", async () => {
  await using connected = await connectStdio("--modern");
  const { link } = connected;
  const waiting = modern(link, "hang", "1", ',"progressToken":1');
  const answer = await link.answerOf(modern(link, "progress", "1", ',"progressToken":1'));
  expect(answer.text).toContain('"params":{"progressToken":1,"progress":1}');
  expect(answer.text).toContain('"id":1,"result":{"done":true}');
  expect(link.frames.some((frame) => frame.exchange === waiting)).toBe(false);
});

it("the server is told when a caller disconnects, under the id that the server knows", async () => {
  await using connected = await connectStdio("--modern");
  const { link } = connected;
  await link.answerOf(modern(link, "pid", "77"));
  const hung = modern(link, "hang", "77");
  await link.answerOf(modern(link, "pid", "77"));
  const listener = modern(link, "hang", "78"); // the server's remark about it goes to the only call under way
  link.send({ kind: FrameKind.CANCEL, exchange: hung, reason: "the caller went away" });
  await link.until(() => link.frames.some((frame) => frame.exchange === listener));
  const [frame] = link.frames.filter(({ exchange }) => exchange === listener);
  expect(Buffer.from(frame?.kind === FrameKind.RESPONSE ? frame.body : "").toString()).toContain("cancelled 2");
});

it("a call is never made if its caller left before it could begin", async () => {
  await using connected = await connectStdio("--modern");
  const { link } = connected;
  const exchange = modern(link, "crash", "1");
  link.send({ kind: FrameKind.CANCEL, exchange, reason: "the caller went away" });
  const { text } = await link.answerOf(modern(link, "line", "2"));
  expect(JSON.parse(JSON.parse(text).result.line).id).toBe(1); // the first that the server heard of
});

it("a message that may belong to another caller reaches nobody", async () => {
  await using connected = await connectStdio("--modern");
  const { link } = connected;
  const waiting = [modern(link, "hang", "1"), modern(link, "notify", "2")];
  await link.answerOf(modern(link, "pid", "3"));
  expect(link.frames.some((frame) => waiting.includes(frame.exchange))).toBe(false);
});

it("a subscription's notifications reach its subscriber, under the subscription's id", async () => {
  await using connected = await connectStdio("--modern");
  const { link } = connected;
  const exchange = modernMethod(link, "subscriptions/listen", '"listen:1"');
  const text = (): string =>
    link.frames
      .flatMap((frame) => (frame.exchange === exchange && "body" in frame ? [Buffer.from(frame.body).toString()] : []))
      .join("");
  await link.until(() => text().includes("list_changed"));
  expect(text().match(/"io.modelcontextprotocol\/subscriptionId":"listen:1"/g)).toHaveLength(2);
});

it("protocol errors have their HTTP status", async () => {
  await using connected = await connectStdio("--modern");
  const { link } = connected;
  expect((await link.answerOf(modernMethod(link, "no/such", "1"))).status).toBe(404);
  expect((await link.answerOf(modern(link, "error", "1"))).status).toBe(400);
});

it("every caller is answered at once when the process crashes, and the next call starts another", async () => {
  await using connected = await connectStdio("--modern");
  const { link } = connected;
  const first = pidIn(await link.answerOf(modern(link, "pid", "1")));
  const waiting = modern(link, "hang", "2");
  const crashed = await link.answerOf(modern(link, "crash", "3"));
  expect(JSON.parse(crashed.text)).toMatchObject({
    id: 3,
    error: { message: expect.stringContaining(MAY_HAVE_RUN), data: { code: "machine_failed" } },
  });
  expect(JSON.parse((await link.answerOf(waiting)).text).id).toBe(2);
  expect(pidIn(await link.answerOf(modern(link, "pid", "4")))).not.toBe(first);
});

it.each([["answers what it does not know with an error"], ["leaves it unanswered", "--mute"]])(
  "a server of 2025 refuses a 2026-07-28 request as other such servers do when it %s",
  async (_, ...flags) => {
    await using connected = await connectStdio(...flags);
    const { link } = connected;
    expect((await link.answerOf(modernMethod(link, "server/discover", "1"))).status).toBe(400);
  },
);

it("calls to a server that cannot be started fail at once, and nothing is left behind", async () => {
  const target = new StdioTarget({ command: "/no/such/program", args: [], cwd: process.cwd() }, "attic");
  await using connected = await connect(target);
  const { link } = connected;
  for (const body of ['{"jsonrpc":"2.0","id":5,"method":"initialize"}']) {
    const answer = await link.call({}, body);
    expect(answer.status).toBe(502);
    expect(JSON.parse(answer.text)).toMatchObject({
      id: 5,
      error: {
        message: expect.stringMatching(/: it could not be started: .* ENOENT\. Is the program installed/),
      },
    });
    expect(answer.text).not.toContain(MAY_HAVE_RUN);
  }
  const { status, text } = await link.answerOf(modernMethod(link, "server/discover", "1"));
  expect([status, text]).toEqual([502, expect.not.stringContaining("Error: ")]);
});

it("the shared process ends with the connector", async () => {
  let pid = 0;
  {
    await using connected = await connectStdio("--modern");
    pid = pidIn(await connected.link.answerOf(modern(connected.link, "pid", "1")));
  }
  await gone(pid);
});

it("the shared process ends after a long time without calls, and the next call starts another that stays", async () => {
  const clock = new ManualClock();
  await using connected = await connect(new StdioTarget(rawServer("--modern"), "attic", { clock }));
  const { link } = connected;
  const first = pidIn(await link.answerOf(modern(link, "pid", "1")));
  const listener = modernMethod(link, "subscriptions/listen", '"l"');
  const frames = link.framesOf(listener);
  await frames.next();
  clock.advance(CHILD_IDLE_MS + SWEEP_MS);
  expect(pidIn(await link.answerOf(modern(link, "pid", "2")))).toBe(first); // somebody listens
  link.send({ kind: FrameKind.CANCEL, exchange: listener, reason: "gone" });
  await link.answerOf(modern(link, "pid", "3"));
  clock.advance(CHILD_IDLE_MS + SWEEP_MS);
  const second = pidIn(await link.answerOf(modern(link, "pid", "4")));
  expect(second).not.toBe(first);
  await gone(first);
  expect(pidIn(await link.answerOf(modern(link, "pid", "5")))).toBe(second);
});
