// Root cause: the runtime joins a request's host and path to a URL without looking at them. Where nobody checked whether the result is one, taking it
// apart threw, and every stranger could cause as many internal errors, with their lines in the log, as they liked.
import { once } from "node:events";
import { connect } from "node:net";
import { afterAll, beforeAll, expect, test } from "vitest";
import { TrustedProxies } from "../../../scripts/front/client-address.ts";
import { Front } from "../../../scripts/front/front.ts";
import { TestGate } from "../../scripts/front/support/gate.ts";

const INVALID = [
  "a:99999", "localhost:65536", "[::1]:99999", "[:::]", "[1:2:3:4:5:6:7:8:9]", "1.2.3.4.5", "256.256.256.256", "999999999999", "0x100000000",
  "1.1.1.0x1ff", "attic.localhost:99999", ":80", "", "a b", "%61", "a@b", "a/b",
]; // prettier-ignore

let gate: TestGate;
let front: Front;
beforeAll(async () => {
  gate = await TestGate.start();
  const options = { host: "127.0.0.1", port: 0, certificate: null, log: () => undefined };
  front = await Front.start({ ...options, upstream: { socketPath: gate.socketPath }, trusted: new TrustedProxies([]) });
});
afterAll(async () => {
  await front[Symbol.asyncDispose]();
  await gate[Symbol.asyncDispose]();
});

async function statusAt(host: string, target = "/"): Promise<string> {
  const socket = connect(front.port, "127.0.0.1");
  let answer = "";
  socket.on("data", (data) => (answer += data.toString()));
  socket.write(`OPTIONS ${target} HTTP/1.1\r\nhost: ${host}\r\nconnection: close\r\n\r\n`);
  await once(socket, "close");
  return answer.split(" ")[1] ?? "";
}

test.each(INVALID)("the host %j is refused at the front", async (host) => {
  expect(await statusAt(host)).toBe("400");
});

test.each(["localhost", "localhost:8443", "operator.example.com", "[::1]:443", "127.0.0.1"])(
  "the host %s is passed on",
  async (host) => {
    expect(await statusAt(host)).toBe("200");
  },
);

// Such a target may name a host of its own, and the gate would have two to choose from.
test.each(["http://other.example.com/", "*"])(
  "the target %s, which is no path, is refused at the front",
  async (target) => {
    expect(await statusAt("localhost", target)).toBe("400");
  },
);
