import { createServer } from "node:http";
import { startPublicWorker } from "./public-worker.ts";

/** Prints what a Worker on this computer, which may reach public addresses, gets at the URLs. A service at port 9001 counts as one of this computer. */
const [port = "", ...urls] = process.argv.slice(2);

const service = createServer((_request, response) => void response.end("a service of this computer"));
await new Promise<void>((resolve) => service.listen(9001, "0.0.0.0", resolve));
const workerd = await startPublicWorker(Number(port));
const answer = await fetch(`http://127.0.0.1:${port}`, { method: "POST", body: JSON.stringify(urls) });
console.log(`Got: ${await answer.text()}`);
await workerd.kill();
service.close();
