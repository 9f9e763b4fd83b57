// Root cause: with NODE_USE_ENV_PROXY=1, Node's fetch sends also what is for 127.0.0.1 to HTTP_PROXY. The proxy read the owner's token of the
// Operator on this computer, after it had passed on the proof that the token is sent to that Operator only.
import { execFile } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:http";
import { type AddressInfo, connect, type Server } from "node:net";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect, onTestFinished, test } from "vitest";
import { keepLoopbackUnproxied } from "../../../scripts/system/loopback-unproxied.ts";
import { temporaryFolder } from "../../scripts/connector/support/temporary-folder.ts";

const CODEZ = fileURLToPath(new URL("../../../scripts/codez/main.ts", import.meta.url));
const TOKEN = "opr_secret";

async function listening(server: Server): Promise<string> {
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => void server.close());
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

test("a token for this computer's Operator does not pass a proxy", async () => {
  const shown: (string | undefined)[] = [];
  const hub = await listening(
    createServer(({ url, headers }, response) => {
      if (url === "/api/machines") shown.push(headers.authorization);
      response.setHeader("content-type", "application/json").end('{"machines":[]}');
    }),
  );
  let passed = 0;
  const proxy = createServer((_request, response) => {
    passed += 1;
    response.writeHead(502).end();
  });
  proxy.on("connect", (request, socket) => {
    passed += 1;
    const [host = "", port = ""] = (request.url ?? "").split(":");
    const on = connect(Number(port), host, () => socket.write("HTTP/1.1 200 OK\r\n\r\n"));
    on.pipe(socket).pipe(on);
    for (const end of [on, socket]) end.on("error", () => undefined);
  });
  using home = temporaryFolder();
  const env = {
    PATH: process.env["PATH"],
    HOME: process.env["HOME"],
    CODEZ_HOME: home.path,
    CODEZ_HUB_TOKEN: TOKEN,
    NODE_USE_ENV_PROXY: "1",
    HTTP_PROXY: await listening(proxy),
  };
  await promisify(execFile)(process.execPath, [CODEZ, "machines", "--hub", hub], { env });
  expect(shown).toEqual([`Bearer ${TOKEN}`]);
  expect(passed).toBe(0);
});

test.each([
  [{}, { NO_PROXY: "127.0.0.1,localhost,[::1]" }],
  [{ NO_PROXY: "corp" }, { NO_PROXY: "corp,127.0.0.1,localhost,[::1]" }],
  [
    { no_proxy: "", NO_PROXY: "corp" },
    { no_proxy: "127.0.0.1,localhost,[::1]", NO_PROXY: "corp" },
  ],
  [{ no_proxy: "*" }, { no_proxy: "*" }],
])("of %j becomes %j, which keeps whatever else needs no proxy", (env: NodeJS.ProcessEnv, kept) => {
  keepLoopbackUnproxied(env);
  expect(env).toEqual(kept);
});
