import { createServer } from "node:net";
import { expect, onTestFinished, test } from "vitest";
import { isListening, Ports } from "../../../scripts/system/ports.ts";

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
