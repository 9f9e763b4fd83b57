import { execFileSync } from "node:child_process";
import { createServer } from "node:http";
import { readdir, readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { KIND_TAG } from "#protocol/machine-upload.ts";
import { startPlatform } from "../../../../scripts/local/platform/platform.ts";
import { firstUpload, MACHINE, nextUpload } from "../fixtures/machine.ts";
import { bench, eventually, gate, NAMESPACE, sdk, temporaryFolder, TOKEN, upload } from "../support/harness.ts";

const at = { account_id: "local", dispatch_namespace: NAMESPACE };

/** Process ids of the workerds that listen for this port, from what the kernel says. */
function workerdOf(port: number): number {
  const inode = execFileSync("sh", ["-c", `cat /proc/net/tcp`])
    .toString()
    .split("\n")
    .map((line) => line.trim().split(/\s+/))
    .find(
      (columns) => columns[1]?.endsWith(`:${port.toString(16).toUpperCase().padStart(4, "0")}`) && columns[3] === "0A",
    )?.[9];
  if (inode === undefined) throw new Error(`nobody listens on ${port}`);
  const found = execFileSync("sh", [
    "-c",
    `ls -l /proc/[0-9]*/fd 2>/dev/null | awk '/^\\/proc/ {d=$1} /socket:\\[${inode}\\]/ {print d}'`,
  ]);
  return Number(/\/proc\/(\d+)\//.exec(found.toString())?.[1]);
}

async function text(calling: Promise<Response>): Promise<string> {
  return (await calling).text();
}

test("scripts are isolated: each has its own bindings, storage and failures", async () => {
  const { client, platform } = await bench();
  await Promise.all([
    upload(client, "attic", MACHINE, firstUpload("attic")),
    upload(client, "cellar", MACHINE, firstUpload("cellar")),
  ]);
  const { call } = await gate(platform);
  expect(await text(call("attic", "/name"))).toBe("attic");
  expect(await text(call("cellar", "/name"))).toBe("cellar");
  expect(await text(call("attic", "/count"))).toBe("1");
  expect(await text(call("attic", "/count"))).toBe("2");
  expect(await text(call("cellar", "/count"))).toBe("1");
});

test.skipIf(process.platform !== "linux")("a script gets no more memory than its process may have", async () => {
  const { client, platform } = await bench();
  const source = `const kept = [];
    export default { fetch: () => {
      try { for (;;) { kept.push(new Uint8Array(50_000_000).fill(1)); if (kept.length === 40) return new Response("all"); } }
      catch (error) { return new Response(error.message); }
    } };`;
  await upload(client, "attic", source);
  const { call } = await gate(platform);
  expect(await text(call("attic"))).toBe("Array buffer allocation failed");
});

test.skipIf(process.platform !== "linux")(
  "when the memory of the computer is used up, hosted servers end first, then machines' scripts, then the rest of Operator",
  async () => {
    const { client, platform } = await bench();
    await upload(client, "echo", MACHINE, firstUpload("echo"));
    await upload(client, "attic", MACHINE, { ...firstUpload("attic"), tags: [KIND_TAG] });
    const score = async (pid: number | null | undefined) =>
      Number(await readFile(`/proc/${pid}/oom_score_adj`, "utf8"));
    const [hosted = 0, machine = 0, own = 0] = await Promise.all(
      [
        platform.directory.find(NAMESPACE, "echo")?.pid,
        platform.directory.find(NAMESPACE, "attic")?.pid,
        process.pid,
      ].map(score),
    );
    expect(hosted).toBeGreaterThan(machine);
    expect(machine).toBeGreaterThan(own);
  },
);

test("each script prints into a log of its own, which is removed with it", async () => {
  const { client, namespaces, platform, logs, stateDir } = await bench();
  const source =
    "export default { fetch: (request, env) => { console.log(`this is ${env.NAME}`); return new Response(); } };";
  for (const name of ["attic", "cellar"])
    await upload(client, name, source, { bindings: [{ type: "plain_text", name: "NAME", text: name }] });
  const { call } = await gate(platform);
  await call("attic");
  await call("cellar");
  const scripts = join(stateDir, "namespaces", NAMESPACE, "scripts");
  await expect
    .poll(() => logs)
    .toEqual(
      ["attic", "cellar"].map((name) => ({
        path: join(scripts, name, "output.log"),
        lines: [`[${name}] this is ${name}`],
      })),
    );
  await writeFile(join(scripts, "attic", "output.log"), "words");
  await namespaces.scripts.delete("attic", at);
  expect(await readdir(scripts)).toEqual(["cellar"]);
});

test("a first upload that fails is forgotten, and one that waits behind it is not", async () => {
  const { client, logs } = await bench();
  const broken = () => upload(client, "attic", "throw new Error('broken')", firstUpload("attic"));
  await expect(broken()).rejects.toThrow("broken");
  await expect(broken()).rejects.toThrow("broken");
  expect(logs).toHaveLength(2); // each upload found nothing of the one before
  const [failed] = await Promise.allSettled([broken(), upload(client, "attic", MACHINE, firstUpload("attic"))]);
  expect(failed.status).toBe("rejected");
  await upload(client, "attic", MACHINE, nextUpload("attic"));
  expect(logs).toHaveLength(3);
});

test("a script gets every kind of binding, and a service binding reaches its entrypoint's address", async () => {
  const server = createServer((request, response) => response.end(`${request.method} ${request.url}`));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => void server.close());
  const address = server.address();
  const port = typeof address === "object" ? address?.port : 0;
  const { client, platform } = await bench({ services: { operator: { Reports: `http://127.0.0.1:${port}` } } });
  await upload(
    client,
    "attic",
    `export default { async fetch(request, env) {
      await env.STORE.put("k", "kept");
      const service = await (await env.CONTROL.fetch("https://control/report", { method: "POST", body: "x" })).text();
      return Response.json([env.TEXT, env.SECRET, env.JSON_VALUE, await env.STORE.get("k"), service]);
    } };`,
    {
      bindings: [
        { type: "plain_text", name: "TEXT", text: "t" },
        { type: "secret_text", name: "SECRET", text: "s" },
        { type: "json", name: "JSON_VALUE", json: "j" },
        { type: "kv_namespace", name: "STORE", namespace_id: "abc" },
        { type: "service", name: "CONTROL", service: "operator", entrypoint: "Reports" },
      ],
    },
  );
  const { call } = await gate(platform);
  expect(await (await call("attic")).json()).toEqual(["t", "s", "j", "kept", "POST /report"]);
});

test("replacing a script keeps its storage, and another script's stream continues", async () => {
  const { client, platform } = await bench();
  await Promise.all([
    upload(client, "attic", MACHINE, firstUpload("attic")),
    upload(client, "cellar", MACHINE, firstUpload("cellar")),
  ]);
  const { call } = await gate(platform);
  expect(await text(call("attic", "/count"))).toBe("1");

  const ticks = (await call("cellar", "/ticks")).body?.getReader();
  await ticks?.read();
  const replaced = upload(client, "attic", MACHINE, nextUpload("new attic"));
  const settled = replaced.then(() => true);
  let during = 0;
  while (!(await Promise.race([settled, ticks?.read().then(() => false)]))) during += 1;
  expect(during).toBeGreaterThan(0);
  expect((await ticks?.read())?.done).toBe(false);
  await ticks?.cancel();

  expect(await text(call("attic", "/name"))).toBe("new attic");
  expect(await text(call("attic", "/count"))).toBe("2");
});

test("calls that arrive while their script is being replaced wait for it", async () => {
  const { client, platform } = await bench();
  await upload(client, "attic", MACHINE, firstUpload("attic"));
  const { call } = await gate(platform);
  await text(call("attic", "/name"));
  const state = { over: false };
  const replaced = upload(client, "attic", MACHINE, nextUpload("next")).finally(() => (state.over = true));
  const statuses = new Set<number>();
  while (!state.over) statuses.add((await call("attic", "/name")).status);
  await replaced;
  expect([...statuses]).toEqual([200]);
});

test("an invalid upload keeps the old script running and its stream unbroken", async () => {
  const { client, platform, namespaces } = await bench();
  await upload(client, "attic", MACHINE, firstUpload("attic"));
  const { call } = await gate(platform);
  const ticks = (await call("attic", "/ticks")).body?.getReader();
  await ticks?.read();
  await expect(upload(client, "attic", "export default {", nextUpload("attic"))).rejects.toThrow("SyntaxError");
  expect((await ticks?.read())?.done).toBe(false);
  await ticks?.cancel();
  expect(await text(call("attic", "/name"))).toBe("attic");
  expect(await (await (await namespaces.scripts.content.get("attic", at)).formData()).get("index.js")).toHaveProperty(
    "size",
    MACHINE.length,
  );
});

test("of simultaneous uploads to one script the last one wins, and each is answered", async () => {
  const { client, platform } = await bench();
  await upload(client, "attic", MACHINE, firstUpload("first"));
  const names = ["a", "b", "c"];
  const modified = await Promise.all(names.map((name) => upload(client, "attic", MACHINE, nextUpload(name))));
  const { call } = await gate(platform);
  const newest = modified
    .map(({ modified_on }) => modified_on ?? "")
    .toSorted()
    .at(-1);
  expect(await text(call("attic", "/name"))).toBe(
    names[modified.findIndex(({ modified_on }) => modified_on === newest)],
  );
});

test("a deleted script is immediately unknown, and its successor starts with empty storage", async () => {
  const { client, platform, namespaces, stateDir } = await bench();
  await upload(client, "attic", MACHINE, firstUpload("attic"));
  const { call } = await gate(platform);
  expect(await text(call("attic", "/count"))).toBe("1");
  await namespaces.scripts.delete("attic", { ...at, force: true });
  const gone = await call("attic", "/count");
  expect([gone.status, await gone.text()]).toEqual([500, "Worker not found."]);
  expect(await readdir(join(stateDir, "namespaces", NAMESPACE, "scripts"))).toEqual([]);
  await upload(client, "attic", MACHINE, firstUpload("attic"));
  expect(await text(call("attic", "/count"))).toBe("1");
});

test("a script whose workerd is killed runs again for the next call, with its storage, and its neighbour is not affected", async () => {
  const { client, platform, reports } = await bench();
  await Promise.all([
    upload(client, "attic", MACHINE, firstUpload("attic")),
    upload(client, "cellar", MACHINE, firstUpload("cellar")),
  ]);
  const { call } = await gate(platform);
  await text(call("attic", "/count"));
  const ticks = (await call("cellar", "/ticks")).body?.getReader();
  const route = await platform.directory.find(NAMESPACE, "attic")?.route();
  process.kill(workerdOf(route?.port ?? 0), "SIGKILL");
  // A call that arrives before the platform has seen the death has to wait like any other.
  expect(await text(call("attic", "/count"))).toBe("2");
  expect((await ticks?.read())?.done).toBe(false);
  await ticks?.cancel();
  expect(reports).toEqual([expect.stringContaining("attic")]);
});

test("a restart of the platform keeps a script, its secret and its rows, and its alarm fires by itself", async () => {
  const stateDir = await temporaryFolder();
  const first = await startPlatform({ stateDir, apiToken: TOKEN });
  await first.directory.ensure(NAMESPACE);
  const client = sdk(first.apiUrl, TOKEN);
  await upload(client, "attic", MACHINE, firstUpload("attic"));
  await client.workersForPlatforms.dispatch.namespaces.scripts.secrets.update("attic", {
    ...at,
    name: "KEY",
    text: "kept",
    type: "secret_text",
  });
  await upload(client, "cellar", MACHINE, firstUpload("cellar"));
  const before = await gate(first);
  await text(before.call("attic", "/count"));
  await text(before.call("attic", "/alarm?in=2000"));
  await first.stop();

  const { platform } = await bench({ stateDir });
  const record = join(stateDir, "namespaces", NAMESPACE, "scripts", "attic", "script.json");
  expect((await stat(record)).mode & 0o777).toBe(0o600);
  expect(await platform.directory.find(NAMESPACE, "attic")?.nextAlarmMs()).toEqual(expect.any(Number));
  expect(await platform.directory.find(NAMESPACE, "cellar")?.nextAlarmMs()).toBeNull();
  await platform.wake();
  const { call } = await gate(platform);
  expect(await (await call("attic", "/env")).json()).toEqual({ NAME: "attic", KEY: "kept" });
  expect(await text(call("attic", "/count"))).toBe("2");
  await eventually(async () => ((await text(call("attic", "/alarms"))) !== "0" ? true : undefined), "the alarm");
});

test("a script whose port was taken while it was stopped gets another, and the old port leads nowhere", async () => {
  const { client, platform } = await bench();
  await upload(client, "attic", MACHINE, firstUpload("attic"));
  const { call } = await gate(platform);
  expect(await text(call("attic", "/count"))).toBe("1");
  const script = platform.directory.find(NAMESPACE, "attic");
  const port = (await script?.route())?.port;
  await script?.stop();
  const squatter = createServer((request) => request.socket.destroy());
  onTestFinished(() => void squatter.close());
  await new Promise<void>((resolve) => squatter.listen(port, "127.0.0.1", resolve));
  expect(await text(call("attic", "/count"))).toBe("2");
  expect((await script?.route())?.port).not.toBe(port);
});

test("a script that uses too much memory is restarted, and its neighbour is not affected", async () => {
  const { client, platform, reports } = await bench();
  const greedy = `export default { async fetch(request) {
    if (new URL(request.url).pathname !== "/take") return new Response("here");
    const taken = [];
    for (;;) { taken.push(new Array(100_000).fill(Math.random())); await 0; }
  } }`;
  await upload(client, "greedy", greedy);
  await upload(client, "attic", MACHINE, firstUpload("attic"));
  const { call } = await gate(platform);
  const ticks = (await call("attic", "/ticks")).body?.getReader();
  const lost = await call("greedy", "/take", { method: "POST", body: "x" });
  // The words by which the dispatch Worker knows that the call may have been carried out.
  expect([lost.status, await lost.text()]).toEqual([500, expect.stringContaining("Network connection lost")]);
  expect(await text(call("greedy", "/"))).toBe("here");
  expect((await ticks?.read())?.done).toBe(false);
  await ticks?.cancel();
  expect(reports).toEqual([expect.stringContaining("machine script greedy: its workerd ended unexpectedly")]);
});
