import { once } from "node:events";
import { createConnection, createServer } from "node:net";
import { expect, onTestFinished, test } from "vitest";
import { HeldPorts, isFree, isListening, Ports } from "../../../scripts/system/ports.ts";
import { awaited } from "../../support/awaited.ts";
import { unusedPort } from "../../support/unused-port.ts";

test("no port is given out twice, or while another program listens on it", async () => {
  const ports = new Ports();
  const given = await Promise.all(Array.from({ length: 200 }, () => ports.take()));
  expect(new Set(given).size).toBe(200);
  const server = createServer();
  onTestFinished(() => void server.close());
  const [first = 0] = given;
  expect(await isListening(first)).toBe(false);
  await new Promise<void>((resolve) => server.listen(first, "127.0.0.1", resolve));
  expect(await isListening(first)).toBe(true);
});

test("a held port is nobody else's until it is released, and who connects there is turned away", async () => {
  const held = new HeldPorts();
  onTestFinished(() => held.releaseAll());
  const port = await unusedPort();
  expect([await held.hold(port), await held.hold(port), await isFree(port)]).toEqual([true, true, false]);
  const socket = createConnection({ host: "127.0.0.1", port }).on("error", () => undefined);
  onTestFinished(() => void socket.destroy());
  await awaited("the end of the connection", once(socket, "close"));
  await held.release(port);
  expect(await isFree(port)).toBe(true);
  const other = createServer();
  onTestFinished(() => void other.close());
  await new Promise<void>((resolve) => other.listen(port, "127.0.0.1", resolve));
  expect(await held.hold(port)).toBe(false);
  await new Promise((resolve) => other.close(resolve));
  expect(await held.hold(port)).toBe(true);
  await held.releaseAll();
  expect(await isFree(port)).toBe(true);
});
