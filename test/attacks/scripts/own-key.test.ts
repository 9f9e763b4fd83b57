// Root cause: a script's key was made once for its name, and its port was free while it did not run. Code can read the modules of its own script, and with them its key. A hosted server that was
// removed so knew the key of the machine that got its name, and who has that key is believed whatever caller they say they are. And another user of
// the computer who listened at the port of a machine that was away got calls that were meant for it, with the key.
import { expect, test } from "vitest";
import { isFree } from "../../../scripts/system/ports.ts";
import { bench, gate, NAMESPACE, upload } from "../../scripts/local/support/harness.ts";

/** Tells what it finds in the module that starts it. */
const NOSY = `import { readFileSync } from "node:fs";
export default { fetch: () => new Response(readFileSync("/bundle/operator-local/entry.js", "utf8")) };`;

const PRIVATE = `export default { fetch: (request) => new Response("for " + request.headers.get("x-operator-caller")) };`;

test("what gets the name of a removed script has a key that its code never had", async () => {
  const { client, namespaces, platform } = await bench();
  const { call } = await gate(platform);
  await upload(client, "attic", NOSY, { compatibility_flags: ["nodejs_compat", "enable_nodejs_fs_module"] });
  const found = await (await call("attic")).text();
  const earlier = await platform.directory.find(NAMESPACE, "attic")?.route();
  expect(found).toContain(earlier?.key);

  await namespaces.scripts.delete("attic", { account_id: "local", dispatch_namespace: NAMESPACE });
  await upload(client, "attic", PRIVATE);
  const now = await platform.directory.find(NAMESPACE, "attic")?.route();
  const url = `http://127.0.0.1:${now?.port}/`;
  const headers = { "operator-local-call": `${earlier?.key} id ${url}`, "x-operator-caller": "owner" };
  expect((await fetch(url, { headers })).status).toBe(403);
  expect(await (await call("attic", "/", { headers: { "x-operator-caller": "owner" } })).text()).toBe("for owner");
});

test.each(["at rest", "ended", "removed"])("nobody else can listen at the port of a script that is %s", async (how) => {
  const { client, namespaces, platform } = await bench();
  const { call } = await gate(platform);
  await upload(client, "attic", PRIVATE);
  expect((await call("attic")).status).toBe(200);
  const script = platform.directory.find(NAMESPACE, "attic");
  const port = script?.port ?? 0;
  if (how === "at rest") await script?.rest();
  else if (how === "ended") await script?.halt();
  else await namespaces.scripts.delete("attic", { account_id: "local", dispatch_namespace: NAMESPACE });
  expect(script?.pid).toBeNull();
  await expect.poll(() => isFree(port)).toBe(false);
  if (how === "removed") return;
  expect(await (await call("attic", "/", { headers: { "x-operator-caller": "owner" } })).text()).toBe("for owner");
  expect(script?.port).toBe(port);
});

test("whoever was at its port nevertheless has a key that is none any more when it runs again", async () => {
  const { client, platform } = await bench();
  const { call } = await gate(platform);
  await upload(client, "attic", PRIVATE);
  expect((await call("attic")).status).toBe(200);
  const script = platform.directory.find(NAMESPACE, "attic");
  const sent = (await script?.route())?.key;
  await script?.rest();
  const now = await script?.route();
  const url = `http://127.0.0.1:${now?.port}/`;
  expect((await fetch(url, { headers: { "operator-local-call": `${sent} id ${url}` } })).status).toBe(403);
  expect((await call("attic")).status).toBe(200);
});
