import { once } from "node:events";
import type { IncomingMessage } from "node:http";
import { expect, it } from "vitest";
import { FrameKind } from "#protocol/frame.ts";
import { connectHttp } from "./support/connected.ts";

/** Resolves when the caller of a request hangs up. */
function hungUp(request: IncomingMessage): Promise<unknown> {
  return once(request.socket, "close");
}

it("a caller that leaves before the answer disconnects at the server too", async () => {
  await using connected = await connectHttp(() => undefined);
  const { link, server } = connected;
  const exchange = link.open({}, "{}");
  await server.requested(1);
  const [request] = server.requests;
  link.send({ kind: FrameKind.CANCEL, exchange, reason: "the caller went away" });
  if (request === undefined) throw new Error("no request");
  await hungUp(request);
  expect(link.frames).toEqual([]);
});

it("a caller that leaves during a stream disconnects at the server too, and nothing more is sent", async () => {
  await using connected = await connectHttp((_, response) => {
    response.write("data: 1\n\n");
  });
  const { link, server } = connected;
  const exchange = link.open({ method: "GET" });
  await link.until(() => link.frames.length > 0);
  const [request] = server.requests;
  if (request === undefined) throw new Error("no request");
  link.send({ kind: FrameKind.CANCEL, exchange, reason: "the caller went away" });
  await hungUp(request);
  await link.call({ path: "/nowhere" });
  expect(link.frames.filter((frame) => frame.exchange === exchange)).toHaveLength(1);
});

it("a request body cancelled half-way never looks complete to the server", async () => {
  let isComplete: boolean | null = null;
  const { promise, resolve } = Promise.withResolvers<void>();
  await using connected = await connectHttp((request) => {
    request.on("data", () => undefined);
    request.on("close", () => {
      isComplete = request.complete;
      resolve();
    });
  });
  const { link, server } = connected;
  const exchange = link.open({}, "half of ", false);
  await server.requested(1);
  link.send({ kind: FrameKind.CANCEL, exchange, reason: "the caller went away" });
  await promise;
  expect(isComplete).toBe(false);
});

it("a cut link ends its calls at the server, waiting and streaming ones", async () => {
  await using connected = await connectHttp((request, response) => {
    if (request.method === "GET") response.write("data: 1\n\n");
  });
  const { link, server, script } = connected;
  link.open({ method: "GET" });
  link.open({}, "{}");
  await server.requested(2);
  const ends = server.requests.map((request) => hungUp(request));
  link.socket.terminate();
  await Promise.all(ends);
  const again = await script.link();
  expect((await again.call({ path: "/nowhere" })).status).toBe(404);
});

it("one slow reader delays nobody", async () => {
  const block = Buffer.alloc(64 * 1024);
  await using connected = await connectHttp((request, response) => {
    if (request.method !== "GET") return void response.end("fast");
    const fill = (): void => {
      while (response.write(block)) continue;
    };
    response.on("drain", fill);
    fill();
  });
  const { link } = connected;
  const slow = link.open({ method: "GET" });
  await link.until(() => link.frames.filter((frame) => frame.exchange === slow).length >= 4);
  const answers = await Promise.all(Array.from({ length: 100 }, () => link.call({}, "{}")));
  expect(answers.every(({ text }) => text === "fast")).toBe(true);
});

it("an answer before the request's end is forwarded, and the rest of the request is ignored", async () => {
  await using connected = await connectHttp((_, response) => {
    response.statusCode = 413;
    response.setHeader("connection", "close");
    response.end("too large");
  });
  const { link } = connected;
  const exchange = link.open({}, "beginning", false);
  expect(await link.answerOf(exchange)).toMatchObject({ status: 413, text: "too large" });
  link.send({ kind: FrameKind.BODY, exchange, end: true, body: Buffer.from("rest") });
  expect((await link.call({}, "{}")).status).toBe(413);
});
