import { createHash } from "node:crypto";
import { once } from "node:events";
import { createServer, type RequestListener } from "node:http";
import { type AddressInfo, createConnection } from "node:net";
import { expect, onTestFinished, test } from "vitest";
import { WebSocket } from "ws";
import { firstUpload, MACHINE } from "../fixtures/machine.ts";
import { bench, eventually, gate, NAMESPACE, upload } from "../support/harness.ts";
import { workerdMemory } from "../support/memory.ts";

async function machines() {
  const { client, platform, namespaces } = await bench();
  await Promise.all([
    upload(client, "attic", MACHINE, firstUpload("attic")),
    upload(client, "cellar", MACHINE, firstUpload("cellar")),
  ]);
  return { client, platform, namespaces, ...(await gate(platform)) };
}

test("get() never throws, and an unknown name fails when fetch is called", async () => {
  const { platform } = await bench();
  const { call } = await gate(
    platform,
    `export default { async fetch(request, env) {
      const stub = env.DISPATCH.get("nobody", {}, {});
      const then = typeof stub.then;
      try { await stub.fetch(request); return new Response("answered"); }
      catch (error) { return Response.json([then, error instanceof Error, error.message]); }
    } };`,
  );
  expect(await (await call("x")).json()).toEqual(["undefined", true, "Worker not found."]);
});

test.each(["../attic", "attic/../cellar", "attic?x", "", "ATTIC", "__proto__", "ätt\u0000ic", "a".repeat(300)])(
  "the name %j reaches no script",
  async (name) => {
    const { client, platform } = await bench();
    await upload(client, "attic", MACHINE, firstUpload("attic"));
    const { call } = await gate(platform);
    const response = await call(name, "/name");
    expect([response.status, await response.text()]).toEqual([500, "Worker not found."]);
  },
);

test("a script receives the request unchanged: URL, method, headers, and no cf", async () => {
  const { call, url } = await machines();
  const response = await call("attic", "/seen?q=%20%2F", {
    method: "DELETE",
    headers: { "x-mine": "1" },
  });
  const seen = (await response.json()) as { url: string; method: string; headers: [string, string][]; cf: unknown };
  expect(seen.url).toBe(new URL("/seen?q=%20%2F", url).href);
  expect([seen.method, seen.cf]).toEqual(["DELETE", null]);
  const headers = new Map(seen.headers);
  expect([headers.get("x-mine"), headers.get("host")]).toEqual(["1", url.host]);
  expect([...headers.keys()].filter((name) => name.startsWith("operator-local"))).toEqual([]);
});

test("a script that was removed and uploaded again, and runs, is reached by the first call that has a body", async () => {
  const { client, namespaces, platform, call } = await machines();
  const digest = () => call("attic", "/digest", { method: "POST", body: "x" });
  expect((await digest()).status).toBe(200);
  for (let round = 1; round <= 2; round += 1) {
    const before = platform.directory.find(NAMESPACE, "attic")?.port;
    await namespaces.scripts.delete("attic", { account_id: "local", dispatch_namespace: NAMESPACE, force: true });
    await upload(client, "attic", MACHINE, firstUpload("attic"));
    // A port is never given to a second script, not even of the same name.
    expect((await platform.directory.find(NAMESPACE, "attic")?.route())?.port).not.toBe(before);
    // Past the second for which a script that answered is taken to be there, bodies are held to be sent again.
    await new Promise((resolve) => setTimeout(resolve, 1_100));
    expect((await digest()).status).toBe(200);
  }
});

test("a call that the former script of a name may have run is not sent to the one that has the name now", async () => {
  const received: string[] = [];
  const listening = async (answer: RequestListener): Promise<number> => {
    const server = createServer(answer).listen(0, "127.0.0.1");
    onTestFinished(() => void server.close());
    await once(server, "listening");
    return (server.address() as AddressInfo).port;
  };
  const former = await listening((request) => {
    received.push("former");
    request.socket.destroy();
  });
  const now = await listening((_, response) => {
    received.push("now");
    response.end();
  });
  const routes = [
    { script: "one", port: former, key: "k", endedMs: 0, startedMs: 1 },
    { script: "two", port: now, key: "k", endedMs: 0, startedMs: 1 },
  ];
  const platform = await listening((_, response) => void response.end(JSON.stringify(routes.shift())));
  const { call } = await gate({
    dispatch: (namespace) => ({ platform: `127.0.0.1:${platform}`, token: "t", namespace }),
  });
  const { status } = await call("attic", "/", { method: "POST", body: "x" });
  expect([status, received]).toEqual([500, ["former"]]);
});

test("fetch throws what a script throws", async () => {
  const { call } = await machines();
  const response = await call("attic", "/throw");
  expect([response.headers.get("x-thrown"), await response.text()]).toEqual(["yes", "thrown by the script"]);
});

test("a script's own port answers only its dispatch namespace", async () => {
  const { platform } = await machines();
  const attic = await platform.directory.find(NAMESPACE, "attic")?.route();
  const cellar = await platform.directory.find(NAMESPACE, "cellar")?.route();
  const direct = `http://127.0.0.1:${attic?.port}/name`;
  expect((await fetch(direct)).status).toBe(403);
  expect((await fetch(direct, { headers: { "operator-local-call": `${cellar?.key} id ${direct}` } })).status).toBe(403);
  expect(await (await fetch(direct, { headers: { "operator-local-call": `${attic?.key} id ${direct}` } })).text()).toBe(
    "attic",
  );
});

test("WebSockets carry text and bytes in both directions, and a close arrives", async () => {
  const { url } = await machines();
  for (const name of ["attic", "cellar"]) {
    const socket = new WebSocket(new URL(url.href.replace("http", "ws")), { headers: { "x-script": name } });
    const from = new Promise((resolve) => socket.once("upgrade", (response) => resolve(response.headers["x-from"])));
    await new Promise((resolve, reject) => socket.once("open", resolve).once("error", reject));
    expect(await from).toBe(name);
    const bytes = Buffer.from([0, 255, 128, 10, 13]);
    for (const [sent, binary] of [
      ["grüße", false],
      [bytes, true],
      [Buffer.alloc(900_000, 1), true],
    ] as const) {
      const answer = new Promise<[Buffer, boolean]>((resolve) =>
        socket.once("message", (data, isBinary) => resolve([data as Buffer, isBinary])),
      );
      socket.send(sent);
      const [data, isBinary] = await answer;
      expect(isBinary).toBe(binary);
      expect(data.equals(Buffer.from(sent))).toBe(true);
    }
    const closed = new Promise((resolve) => socket.once("close", resolve));
    socket.close(1000);
    await closed;
  }
});

test("bodies arrive complete: buffered ones, announced large ones and streamed ones", async () => {
  const { call } = await machines();
  const digest = (body: Uint8Array) => createHash("sha256").update(body).digest("hex");
  for (const size of [1, 65_536, 65_537, 5_000_000]) {
    const body = new Uint8Array(size).map((_, index) => index % 251);
    expect(await (await call("attic", "/digest", { method: "POST", body })).text()).toBe(digest(body));
    const streamed = new Blob([body]).stream();
    const init = { method: "POST", body: streamed, duplex: "half" } as RequestInit;
    expect(await (await call("attic", "/digest", init)).text()).toBe(digest(body));
  }
});

test("a reader that stops makes the script stop, and 100 MB pass without being buffered", async () => {
  const { call, url } = await machines();
  const chunks = 1600;
  const pulled = async () => Number(await (await call("attic", "/pulled")).text());
  await pulled();
  const before = await workerdMemory();
  const socket = createConnection({ host: "127.0.0.1", port: Number(url.port) });
  socket.write(`GET /stream?chunks=${chunks} HTTP/1.1\r\nhost: x\r\nx-script: attic\r\n\r\n`);
  await new Promise((resolve) => socket.once("readable", resolve));
  // Nobody reads, so the script stops producing when all buffers on the way are full.
  let last = -1;
  const held = await eventually(async () => {
    const now = await pulled();
    const settled = now === last;
    last = now;
    return settled ? now : undefined;
  }, "the script to stop");
  expect(held).toBeLessThan(chunks / 2);

  let received = 0;
  let peak = 0;
  socket.on("data", (data: Buffer) => (received += data.length));
  await eventually(async () => {
    peak = Math.max(peak, await workerdMemory());
    return received >= chunks * 65_536 ? true : undefined;
  }, "the whole stream");
  socket.destroy();
  expect(peak - before).toBeLessThan(60_000_000);
});

test("a redirect is returned and not followed", async () => {
  const { client, platform } = await bench();
  await upload(
    client,
    "attic",
    `export default { fetch: () => Response.redirect("http://127.0.0.1:1/elsewhere", 302) };`,
  );
  const { call } = await gate(platform);
  const response = await call("attic", "/", { redirect: "manual" });
  expect([response.status, response.headers.get("location")]).toEqual([302, "http://127.0.0.1:1/elsewhere"]);
});
