import { createServer } from "node:http";
import { startWorkerd } from "../../../../scripts/local/workerd/process.ts";
import { internet } from "../../../../scripts/local/workerd/surroundings.ts";

/** Asks each URL, and says what it got. */
const SOURCE = `export default {
  fetch: async (request) => Response.json(await Promise.all((await request.json()).map((url) => fetch(url).then((it) => it.text(), String)))),
};`;

const [port = "", ...urls] = process.argv.slice(2);
const network = internet("public");
const worker = {
  modules: [{ name: "main.js", esModule: SOURCE }],
  compatibilityDate: "2026-08-01",
  globalOutbound: { name: network.name },
};
const socket = { name: "http", address: `127.0.0.1:${port}`, http: {}, service: { name: "main" } };

/** Prints what a Worker on this computer, which may reach public addresses, gets at the URLs. A service at port 9001 counts as one of this computer. */
const service = createServer((_request, response) => void response.end("a service of this computer"));
await new Promise<void>((resolve) => service.listen(9001, "0.0.0.0", resolve));
const workerd = await startWorkerd(
  "test",
  { services: [{ name: "main", worker }, network], sockets: [socket] },
  () => undefined,
);
const answer = await fetch(`http://127.0.0.1:${port}`, { method: "POST", body: JSON.stringify(urls) });
console.log(`Got: ${await answer.text()}`);
await workerd.kill();
service.close();
