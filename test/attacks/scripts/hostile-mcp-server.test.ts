import { once } from "node:events";
import { createServer, type AddressInfo, type Socket } from "node:net";
import { describe, expect, it } from "vitest";
import { FrameKind } from "#protocol/frame.ts";
import { HttpTarget } from "../../../scripts/connector/http-target.ts";
import { connect, type Connected } from "../../scripts/connector/support/connected.ts";

/**
 * The MCP server behind a connector was trusted to speak proper HTTP. One answer with a length that no number can hold was a frame
 * that Operator does not accept: the link ended, and every call on it with it.
 */

/** A connector in front of a server that writes these bytes for each request, whatever was asked. */
async function connected(respond: (socket: Socket) => void): Promise<Connected> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => undefined); // the connector hangs up on what it does not like
    socket.once("data", () => respond(socket));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const made = await connect(new HttpTarget(new URL(`http://127.0.0.1:${port}/mcp`), "attic", "Start it."));
  return {
    ...made,
    [Symbol.asyncDispose]: async () => {
      await made[Symbol.asyncDispose]();
      for (const socket of sockets) socket.destroy();
      server.close();
    },
  };
}

/** How a call ended: its answer's status, or `cancelled`. */
async function outcome({ link }: Connected): Promise<number | "cancelled"> {
  const exchange = link.open({}, JSON.stringify({ jsonrpc: "2.0", id: 1, method: "ping" }));
  for await (const frame of link.framesOf(exchange)) {
    if (frame.kind === FrameKind.CANCEL) return "cancelled";
    if (frame.kind === FrameKind.RESPONSE) return frame.head.status;
  }
  return "cancelled";
}

const OK = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n";

describe("a server that answers with", () => {
  it.each<[string, string]>([
    ["a length beyond all numbers", `${OK}content-length: 9007199254740993\r\n\r\n{`],
    ["the largest length that HTTP parsers take", `${OK}content-length: 18446744073709551615\r\n\r\n{`],
    ["a negative length", `${OK}content-length: -1\r\n\r\n{}`],
    ["two lengths", `${OK}content-length: 2\r\ncontent-length: 3\r\n\r\n{}x`],
    ["a length and chunks", `${OK}content-length: 2\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n`],
    ["a chunk that is too long for a number", `${OK}transfer-encoding: chunked\r\n\r\nfffffffffffffffff\r\n{}`],
    [
      "an upgrade that nobody asked for",
      "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n",
    ],
    ["a status below all statuses", "HTTP/1.1 000 None\r\ncontent-length: 0\r\n\r\n"],
    ["a status above all statuses", "HTTP/1.1 999 Much\r\ncontent-length: 0\r\n\r\n"],
    ["a head that never ends", `${OK}x: ${"a".repeat(100_000)}`],
    ["ten thousand headers", `${OK}${"x: y\r\n".repeat(10_000)}content-length: 2\r\n\r\n{}`],
    [
      "a thousand early hints",
      `${"HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n".repeat(1_000)}${OK}content-length: 2\r\n\r\n{}`,
    ],
    ["bytes that are no text in a header", `${OK}x: \u00ff\u0080\u00a0\r\ncontent-length: 2\r\n\r\n{}`],
    ["nothing that is HTTP", "SSH-2.0-OpenSSH_9.9\r\n"],
    ["nothing at all", ""],
    ["an answer that breaks off", `${OK}content-length: 100\r\n\r\n{`],
    ["a second answer after the first", `${OK}content-length: 2\r\n\r\n{}${OK}content-length: 2\r\n\r\n{}`],
  ])("%s ends only that call", async (_, bytes) => {
    await using made = await connected((socket) => socket.end(bytes, "latin1"));
    const first = await outcome(made);
    expect(first === "cancelled" || (first >= 200 && first <= 599)).toBe(true);
    await outcome(made); // the link is the same
    expect(made.link.socket.readyState).toBe(made.link.socket.OPEN);
    expect(made.script.dials).toHaveLength(1);
  });

  it("headers that could affect Operator does not get them through", async () => {
    const names = [
      "x-operator-error",
      "x-operator-caller",
      "set-cookie",
      "www-authenticate",
      "access-control-allow-origin",
      "alt-svc",
      "forwarded",
      "cf-ray",
    ];
    const head = `${OK}${names.map((name) => `${name}: evil\r\n`).join("")}content-length: 2\r\n\r\n{}`;
    await using made = await connected((socket) => socket.end(head));
    const { headers } = await made.link.call({}, "{}");
    expect([...headers.keys()]).toEqual(["content-type"]);
  });

  it("endless bytes fills only one window when the reader has stopped", async () => {
    let written = 0;
    await using made = await connected((socket) => {
      socket.write(`${OK}\r\n`);
      const chunk = Buffer.alloc(64 * 1024, "x");
      const fill = (): void => {
        while (socket.write(chunk)) written += chunk.length;
        socket.once("drain", fill);
      };
      fill();
    });
    made.link.open({}, "{}");
    await made.link.until(() => made.link.frames.length >= 4);
    await new Promise((resolve) => setTimeout(resolve, 300));
    const received = made.link.frames.reduce((sum, frame) => sum + ("body" in frame ? frame.body.length : 0), 0);
    expect(received).toBeLessThanOrEqual(256 * 1024);
    expect(written).toBeLessThan(32 * 1024 * 1024); // what the kernel's buffers took
  });
});
