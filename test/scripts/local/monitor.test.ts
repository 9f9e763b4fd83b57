import { get } from "node:http";
import { expect, onTestFinished, test } from "vitest";
import { startMonitor } from "../../../scripts/local/monitor.ts";
import { startOperator } from "../../../scripts/local/operator.ts";
import { sdk, upload } from "./support/harness.ts";
import { sharedStandIn } from "./support/stand-in.ts";

const { root, newState } = await sharedStandIn();

function ask(port: number, path: string): Promise<{ status: number; text: string }> {
  return new Promise((resolve, reject) => {
    get({ host: "127.0.0.1", port, path, agent: false }, (answer) => {
      let text = "";
      answer.on("data", (chunk: Buffer) => (text += chunk.toString()));
      answer.on("end", () => resolve({ status: answer.statusCode ?? 0, text }));
    }).on("error", reject);
  });
}

test("a running Operator is healthy, and lists its parts", async () => {
  const operator = await startOperator({ port: 0, metricsPort: 0, stateDir: await newState(), root, quiet: true });
  onTestFinished(() => operator.stop());
  await upload(
    sdk(operator.platformUrl, operator.apiToken),
    "attic",
    `export default { fetch: () => new Response() };`,
  );
  const port = operator.metricsPort ?? 0;
  expect(await ask(port, "/healthz")).toEqual({ status: 200, text: "ok\n" });
  const { text } = await ask(port, "/metrics");
  const samples = new Map(
    text
      .split("\n")
      .filter((line) => line !== "" && !line.startsWith("#"))
      .map((line) => [line.slice(0, line.lastIndexOf(" ")), Number(line.slice(line.lastIndexOf(" ") + 1))]),
  );
  expect(samples.get("operator_up")).toBe(1);
  expect(samples.get("operator_scripts")).toBe(1);
  expect(samples.get("operator_scripts_running")).toBe(1);
  expect(samples.get('operator_memory_bytes{process="script"}')).toBeGreaterThan(1_000_000);
  // Every user of the computer may ask: which machines there are is not theirs to know.
  expect(text).not.toContain("attic");
  expect(samples.get("operator_disk_free_bytes")).toBeGreaterThan(0);
  expect(samples.has("operator_certificate_end_seconds")).toBe(false);
  expect((await ask(port, "/")).status).toBe(404);
  // Callers' own port has none of it.
  expect(await (await fetch(`${operator.url}/metrics`)).text()).not.toContain("operator_up");
});

test("an Operator whose gate does not answer is not healthy", async () => {
  const monitor = await startMonitor(0, {
    gate: { gate: "/nonexistent/gate", url: "http://127.0.0.1:1" },
    stateDir: "/",
    scripts: () => 0,
    processes: () => [],
    certificateEndsMs: () => 1_000_000,
  });
  onTestFinished(() => monitor[Symbol.asyncDispose]());
  expect((await ask(monitor.port, "/healthz")).status).toBe(503);
  const { text } = await ask(monitor.port, "/metrics");
  expect(text).toContain("operator_up 0\n");
  expect(text).toContain("operator_certificate_end_seconds 1000\n");
});
