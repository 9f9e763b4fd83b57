import { createHash } from "node:crypto";
import { get } from "node:http";
import { readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { AlreadyRunning } from "../../../scripts/local/lock.ts";
import { PortTaken } from "../../../scripts/front/door.ts";
import { startOperator } from "../../../scripts/local/operator.ts";
import type { RunningOperator } from "../../../scripts/local/operator.ts";
import { eventually, sdk, temporaryFolder, upload } from "./support/harness.ts";
import { childrenOf } from "./support/processes.ts";
import { sharedStandIn, standInRoot } from "./support/stand-in.ts";

const { root, newState } = await sharedStandIn();

const MACHINE = `export default { fetch: async (request, env) =>
  new Response("attic: " + await (await env.CONTROL.fetch("https://control/", { method: "POST", body: "news" })).text()) };`;
const control = { bindings: [{ type: "service", name: "CONTROL", service: "operator", entrypoint: "Reports" }] };

async function start(workers: string, stateDir: string): Promise<RunningOperator> {
  const operator = await startOperator({ port: 0, stateDir, root: workers, quiet: true });
  onTestFinished(() => operator.stop());
  return operator;
}

const text = async (url: string) => (await fetch(url)).text();

test("a whole Operator starts, keeps its state over a restart, and allows one process for each state folder", async () => {
  const stateDir = await newState();
  const first = await start(root, stateDir);
  await upload(sdk(first.platformUrl, first.apiToken), "attic", MACHINE, control);
  expect(await text(`${first.url}/attic/x`)).toBe("attic: reported news");
  expect(await text(`${first.url}/nobody/x`)).toBe("Worker not found.");
  expect(await text(`${first.url}/count`)).toBe("1");
  const about = (await (await fetch(`${first.url}/about`)).json()) as Record<string, unknown>;
  expect(about).toMatchObject({
    tarball: 4,
    vars: {
      ORIGIN: first.url,
      DOMAIN: "localhost",
      OWNER_TOKEN_HASH: createHash("sha256")
        .update(first.ownerToken ?? "")
        .digest("hex"),
      api: first.platformUrl,
      account: "local",
      namespace: "operator",
    },
    secrets: [64, 64, 64],
  });
  // Calling from this computer does not make anybody the owner.
  expect(about).not.toHaveProperty("vars.LOOPBACK_OWNER");
  expect((await stat(join(stateDir, "secrets.json"))).mode & 0o777).toBe(0o600);

  await expect(startOperator({ port: 0, stateDir, root, quiet: true })).rejects.toThrow(AlreadyRunning);
  await expect(startOperator({ port: 0, stateDir, root, quiet: true })).rejects.toThrow(
    `${first.url} (process ${process.pid})`,
  );
  const elsewhere = await newState();
  await expect(startOperator({ port: first.port, stateDir: elsewhere, root, quiet: true })).rejects.toThrow(PortTaken);

  const children = await childrenOf(process.pid, "workerd");
  expect(children.length).toBeGreaterThanOrEqual(2);
  await first.stop();
  expect(await childrenOf(process.pid, "workerd")).toEqual([]);

  const second = await start(root, stateDir);
  expect(second.apiToken).toBe(first.apiToken);
  expect(await text(`${second.url}/count`)).toBe("2");
  expect(await text(`${second.url}/attic/x`)).toBe("attic: reported news");
});

test("any host reaches the control API unchanged", async () => {
  const operator = await start(root, await newState());
  for (const host of ["attic.localhost:8787", "127.0.0.1:1", "operator.example.com"]) {
    const body = await new Promise<string>((resolve, reject) => {
      const request = get({ host: "127.0.0.1", port: operator.port, path: "/about", headers: { host } }, (response) => {
        let all = "";
        response.setEncoding("utf8").on("data", (part: string) => (all += part));
        response.on("end", () => resolve(all));
      });
      request.on("error", reject);
    });
    expect((JSON.parse(body) as { host: string }).host).toBe(host);
  }
});

test("the control API's workerd is restarted on the same port with its storage after it is killed", async () => {
  const operator = await start(root, await newState());
  expect(await text(`${operator.url}/count`)).toBe("1");
  const [pid] = await childrenOf(process.pid, "workerd");
  process.kill(pid ?? 0, "SIGKILL");
  const answer = await eventually(async () => {
    const given = await fetch(`${operator.url}/count`).catch(() => undefined);
    return given?.ok === true ? given : undefined;
  }, "its return");
  expect(await answer.text()).toBe("2");
});

test("a changed source is bundled again, and an invalid one is reported", async () => {
  const own = await standInRoot();
  const stateDir = await temporaryFolder();
  const source = join(own, "control-api/src/index.js");
  await (await start(own, stateDir)).stop();
  await writeFile(source, (await readFile(source, "utf8")).replace("reported ", "noted "));
  const operator = await start(own, stateDir);
  await upload(sdk(operator.platformUrl, operator.apiToken), "attic", MACHINE, control);
  expect(await text(`${operator.url}/attic/x`)).toBe("attic: noted news");
  await operator.stop();
  await writeFile(source, "export default {");
  await expect(startOperator({ port: 0, stateDir, root: own, quiet: true })).rejects.toThrow("could not be bundled");
  await writeFile(join(own, "control-api/wrangler.jsonc"), `{ "name": "x", "d1_databases": [] }`);
  await expect(startOperator({ port: 0, stateDir, root: own, quiet: true })).rejects.toThrow("d1_databases");
});
