import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { buffer, text } from "node:stream/consumers";
import { expect, onTestFinished, test } from "vitest";
import { CONTROL_BUILD } from "../../../scripts/build/repository.ts";
import { CheckApi } from "../../../scripts/deploy/check/check-api.ts";
import { CloudflareCheck } from "../../../scripts/deploy/check/check.ts";
import type { Finding } from "../../../scripts/operator/finding.ts";
import "../../end-to-end/support/localhost.ts";
import { bench, gate, NAMESPACE, TOKEN } from "../local/support/harness.ts";

/** Dispatches by the first label of the host, as workers.dev does. */
const WORKERS_DEV = `export default {
  fetch: (request, env) => env.DISPATCH.get(new URL(request.url).hostname.split(".")[0]).fetch(request),
};`;

/** A server on loopback that ends with the test. */
async function serve(handle: (incoming: IncomingMessage, outgoing: ServerResponse) => Promise<void>): Promise<string> {
  const server = createServer((incoming, outgoing) => void handle(incoming, outgoing).catch(() => outgoing.destroy()));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

/**
 * A free account: the local platform behind the paths of scripts outside of a namespace. `faults` say what its API does wrong.
 * Of the Worker that takes reports the platform runs the upload alone; its entrypoint is played by a server.
 */
async function freeAccount(faults: { tag?: string; migration?: "taken twice" } = {}) {
  let last = "";
  const reports = await serve(async (incoming, outgoing) => {
    if (incoming.method === "POST") last = await text(incoming);
    const stored = incoming.method === "POST" ? String(JSON.parse(last).presence.position.seq) : "0";
    outgoing.writeHead(incoming.method === "POST" ? 204 : 200, { "x-operator-stored": stored });
    outgoing.end(incoming.method === "POST" ? undefined : last);
  });
  // The check names its Workers itself, so the platform learns the name of the one with the entrypoint from its upload.
  const services: Record<string, Record<string, string>> = {};
  const { platform } = await bench({ services });
  const changes: string[] = [];
  const api = await serve(async (incoming, outgoing) => {
    const { method = "GET", url = "/", headers } = incoming;
    const body = await buffer(incoming);
    const path = url.replace("/accounts/acc/workers", "");
    if (method !== "GET") changes.push(`${method} ${path.replace(/-[0-9a-f]{8}/, "").split("?")[0]}`);
    const name = /operator-check-reports-\w+/.exec(url)?.[0];
    if (name !== undefined) services[name] = { Reports: reports };
    const json = (result: unknown): void => {
      outgoing.writeHead(200, { "content-type": "application/json" });
      outgoing.end(JSON.stringify({ success: true, errors: [], messages: [], result }));
    };
    if (path === "/subdomain") return json({ subdomain: "me" });
    if (path.endsWith("/subdomain")) return json({});
    const isAgain = changes.filter((change) => change === "PUT /scripts/operator-check-machine").length === 2;
    if (method === "PUT" && isAgain && faults.migration === "taken twice") return json({});
    const target = `${platform.apiUrl}/accounts/local/workers/dispatch/namespaces/${NAMESPACE}${path}`;
    const answer = await fetch(target, {
      method,
      headers: { authorization: headers.authorization ?? "", "content-type": headers["content-type"] ?? "" },
      ...(method === "GET" || method === "DELETE" ? {} : { body }),
    });
    const said = await answer.text();
    outgoing.writeHead(answer.status, { "content-type": "application/json" });
    outgoing.end(faults.tag === undefined || method !== "GET" ? said : said.replaceAll('"v1"', `"${faults.tag}"`));
  });
  const { url } = await gate(platform, WORKERS_DEV);
  const findings: Finding[] = [];
  const check = new CloudflareCheck({
    api: new CheckApi({ accountId: "acc", apiToken: TOKEN, apiUrl: api }),
    urlOf: (name) => (name.includes("reports") ? reports : `http://${name}.localhost:${url.port}`),
    template: await readFile(join(CONTROL_BUILD, "machine.js.txt"), "utf8"),
    idleMs: 1_000,
    say: (finding) => findings.push(finding),
  });
  return { check, findings, changes, platform };
}

test("the check of an account finds what Operator needs, and leaves nothing behind", async () => {
  const { check, findings, changes, platform } = await freeAccount();
  const isGood = await check.run();
  expect(findings.filter(({ level }) => level !== "ok")).toEqual([]);
  expect([isGood, findings.length]).toEqual([true, 9]);
  expect(changes.slice(-2)).toEqual([
    "DELETE /scripts/operator-check-machine",
    "DELETE /scripts/operator-check-reports",
  ]);
  expect(platform.directory.get(NAMESPACE).scripts()).toEqual([]);
});

test.each([
  ["says another migration tag", { tag: "v9" }, "migration tag is v9"],
  ["takes a migration twice", { migration: "taken twice" }, "answered yes, not 10079"],
] as const)(
  "an account whose API %s is a problem that it names, and the scripts are deleted",
  async (_, faults, why) => {
    const { check, findings, platform } = await freeAccount(faults);
    expect(await check.run()).toBe(false);
    expect(findings.at(-1)).toMatchObject({ level: "problem", says: expect.stringContaining(why) });
    expect(platform.directory.get(NAMESPACE).scripts()).toEqual([]);
  },
);
