// Root cause: what is a public address was left to workerd, which counts addresses as public that stand for private ones. A name that resolves to
// 64:ff9b::10.0.0.1 led to 10.0.0.1 wherever a network translates it (NAT64).
import { afterAll, beforeAll, expect, test } from "vitest";
import type { Workerd } from "../../../scripts/local/workerd/process.ts";
import { unusedPort } from "../../support/unused-port.ts";
import { startPublicWorker } from "./support/public-worker.ts";

let workerd: Workerd;
let origin: string;
beforeAll(async () => {
  const port = await unusedPort();
  origin = `http://127.0.0.1:${port}`;
  workerd = await startPublicWorker(port);
});
afterAll(() => workerd.kill());

test("no address that stands for this computer or its network is public", async () => {
  const hosts = [
    "127.0.0.1", "0.0.0.0", "0.0.0.1", "169.254.169.254", "10.0.0.5", "172.16.0.9", "192.168.1.1", "100.64.0.1", "198.18.0.1", "192.0.2.1",
    "198.51.100.7", "203.0.113.7", "240.0.0.1", "168.63.129.16", "[::1]", "[::]", "[::127.0.0.1]", "[::ffff:127.0.0.1]", "[::ffff:169.254.169.254]",
    "[::ffff:0:127.0.0.1]", "[64:ff9b::127.0.0.1]", "[64:ff9b::10.0.0.5]", "[64:ff9b::169.254.169.254]", "[64:ff9b::192.168.1.1]",
    "[64:ff9b::172.31.0.1]", "[64:ff9b:1::10.0.0.5]", "[64:ff9b:1::808:808]", "[2002:7f00:1::]", "[2002:a00:5::1]", "[2001:0:a00:5::1]",
    "[fe80::1]", "[fc00::5]", "[fd12::5]", "[fec0::5]", "[100::1]", "[2001:db8::5]", "[3fff::5]", "[5f00::5]",
  ]; // prettier-ignore
  const asked = { method: "POST", body: JSON.stringify(hosts.map((host) => `http://${host}:9/`)) };
  const answers = (await (await fetch(origin, asked)).json()) as string[];
  const tried = hosts.filter((_, index) => answers[index]?.startsWith("Error: internal error;") !== true);
  expect(tried).toEqual([]);
});
