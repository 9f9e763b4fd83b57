import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { onTestFinished } from "vitest";

export type Says = (request: IncomingMessage, response: ServerResponse, origin: string) => void;

/** What listens at an address, and which paths it was asked for. */
export type Asked = { readonly origin: string; readonly paths: string[] };

/** Listens until the test is over, and says what the test wants. */
export async function listener(says: Says): Promise<Asked> {
  const paths: string[] = [];
  let origin = "";
  const server = createServer((request, response) => {
    paths.push(new URL(request.url ?? "", origin).pathname);
    response.on("error", () => undefined); // the caller hangs up
    says(request, response, origin);
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return { origin, paths };
}
