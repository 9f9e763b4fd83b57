import { startWorkerd, type Workerd } from "../../../../scripts/local/workerd/process.ts";
import { internet } from "../../../../scripts/local/workerd/surroundings.ts";

/** Asks each URL, and says what it got, or why it could not be reached. What is not allowed is workerd's own error, and no connection is tried. */
const SOURCE = `export default {
  fetch: async (request) => Response.json(await Promise.all((await request.json()).map((url) => fetch(url).then((it) => it.text(), String)))),
};`;

/** A Worker at a port of 127.0.0.1 that may reach public addresses, and asks the URLs that it is sent. */
export function startPublicWorker(port: number): Promise<Workerd> {
  const network = internet("public");
  const worker = {
    modules: [{ name: "main.js", esModule: SOURCE }],
    compatibilityDate: "2026-08-01",
    globalOutbound: { name: network.name },
  };
  const socket = { name: "http", address: `127.0.0.1:${port}`, http: {}, service: { name: "main" } };
  const services = [{ name: "main", worker }, network];
  return startWorkerd("test", { services, sockets: [socket] }, () => undefined);
}
