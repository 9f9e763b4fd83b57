import { once } from "node:events";
import { type ClientRequest, type IncomingMessage, request } from "node:http";
import { APIError, toFile } from "cloudflare";
import { expect, test } from "vitest";
import { UPLOAD_LIMIT_BYTES } from "../../../../scripts/local/platform/upload.ts";
import { bench, NAMESPACE, sdk, TOKEN, upload } from "../support/harness.ts";

const HELLO = `export default { fetch: () => new Response("hello") };`;
const at = { account_id: "local", dispatch_namespace: NAMESPACE };

async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const item of items) all.push(item);
  return all;
}

/** The SDK's error for a refusal: status, then Cloudflare's code. */
async function refusal(promise: Promise<unknown>): Promise<[number | undefined, number | undefined, string]> {
  const error: unknown = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (!(error instanceof APIError)) throw new Error(`expected a refusal, got ${String(error)}`);
  return [error.status, error.errors[0]?.code, error.errors[0]?.message ?? ""];
}

test("the SDK creates, finds, lists and deletes namespaces", async () => {
  const { namespaces } = await bench();
  await namespaces.create({ account_id: "local", name: "second" });
  const names = (await collect(namespaces.list({ account_id: "local" }))).map((one) => one.namespace_name);
  expect(names.toSorted()).toEqual([NAMESPACE, "second"]);
  expect((await namespaces.get("second", { account_id: "local" })).namespace_name).toBe("second");
  await namespaces.delete("second", { account_id: "local" });
  expect((await refusal(namespaces.get("second", { account_id: "local" }))).slice(0, 2)).toEqual([404, 100119]);
});

test("a namespace cannot be created twice, or removed while it has scripts", async () => {
  const { namespaces, client } = await bench();
  expect((await refusal(namespaces.create({ account_id: "local", name: NAMESPACE })))[0]).toBe(409);
  await upload(client, "attic", HELLO);
  expect((await refusal(namespaces.delete(NAMESPACE, { account_id: "local" })))[0]).toBe(409);
});

test("a script can be read back: metadata, settings, bindings without secrets, and content", async () => {
  const { namespaces, client } = await bench();
  await upload(client, "attic", HELLO, {
    tags: ["user-1", "machine"],
    bindings: [
      { type: "plain_text", name: "WHO", text: "attic" },
      { type: "secret_text", name: "KEY", text: "never shown" },
    ],
  });
  const { scripts } = namespaces;
  const script = await scripts.get("attic", at);
  expect(script.script?.id).toBe("attic");
  expect(script.script?.tags).toEqual(["user-1", "machine"]);
  const settings = await scripts.settings.get("attic", at);
  expect(settings.compatibility_flags).toEqual(["nodejs_compat"]);
  const bindings = await collect(scripts.bindings.get("attic", at));
  expect(bindings).toEqual([
    { type: "plain_text", name: "WHO", text: "attic" },
    { type: "secret_text", name: "KEY" },
  ]);
  const content = await (await scripts.content.get("attic", at)).formData();
  expect(await (content.get("index.js") as File).text()).toBe(HELLO);
});

test("tags find scripts and delete them in bulk", async () => {
  const { namespaces, client } = await bench();
  await Promise.all([
    upload(client, "attic", HELLO, { tags: ["user-1", "machine"] }),
    upload(client, "cellar", HELLO, { tags: ["user-2", "machine"] }),
  ]);
  const { tags } = namespaces.scripts;
  await tags.update("cellar", { ...at, body: ["user-2", "old"] });
  expect(await collect(tags.list("cellar", at))).toEqual(["user-2", "old"]);
  await tags.delete("old", { ...at, script_name: "cellar" });
  const path = `/accounts/local/workers/dispatch/namespaces/${NAMESPACE}/scripts`;
  const list = async (query: string) =>
    ((await client.get(`${path}?tags=${query}`)) as { result: { id: string }[] }).result.map(({ id }) => id);
  expect(await list("user-1:no")).toEqual(["cellar"]);
  await client.delete(`${path}?tags=user-1:yes`);
  expect((await refusal(namespaces.scripts.get("attic", at))).slice(0, 2)).toEqual([404, 10007]);
  expect((await namespaces.scripts.get("cellar", at)).script?.tags).toEqual(["user-2"]);
  expect((await refusal(client.delete(path)))[0]).toBe(400);
});

test("secrets are set, listed by name and removed", async () => {
  const { namespaces, client } = await bench();
  await upload(client, "attic", HELLO);
  const { secrets } = namespaces.scripts;
  await secrets.update("attic", { ...at, name: "KEY", text: "one", type: "secret_text" });
  expect(await collect(secrets.list("attic", at))).toEqual([{ name: "KEY", type: "secret_text" }]);
  expect(await secrets.get("KEY", { ...at, script_name: "attic" })).toEqual({ name: "KEY", type: "secret_text" });
  await secrets.delete("KEY", { ...at, script_name: "attic" });
  expect(await collect(secrets.list("attic", at))).toEqual([]);
  expect((await refusal(secrets.get("KEY", { ...at, script_name: "attic" })))[0]).toBe(404);
});

test("secrets one by one make no more bindings than an upload may have, and none that is larger", async () => {
  const { namespaces, client } = await bench();
  const vars = Array.from({ length: 128 }, (_, index) => ({ type: "plain_text", name: `V${index}`, text: "" }));
  await upload(client, "attic", HELLO, { bindings: vars });
  const set = (name: string, text: string) =>
    refusal(namespaces.scripts.secrets.update("attic", { ...at, name, text, type: "secret_text" }));
  expect(await set("KEY", "one")).toEqual([400, 10021, expect.stringContaining("at most 128 bindings")]);
  expect(await set("V0", "x".repeat(5_121))).toEqual([400, 10021, expect.stringContaining("5120 bytes")]);
  expect(await set("not a name", "one")).toEqual([400, 10021, expect.stringContaining("identifier")]);
  expect(await collect(namespaces.scripts.secrets.list("attic", at))).toEqual([]);
});

test("every request without the right token is refused", async () => {
  const { platform, client } = await bench();
  await upload(client, "attic", HELLO);
  for (const token of ["wrong", `${TOKEN}x`, TOKEN.slice(1)]) {
    const stranger = sdk(platform.apiUrl, token).workersForPlatforms.dispatch.namespaces;
    expect(await refusal(stranger.scripts.get("attic", at))).toEqual([401, 10000, "Authentication error"]);
    expect(await refusal(stranger.scripts.get("nobody", at))).toEqual([401, 10000, "Authentication error"]);
  }
  const lookup = new URL(`/dispatch/${NAMESPACE}/attic`, platform.apiUrl);
  expect((await fetch(lookup, { headers: { authorization: `Bearer ${TOKEN}` } })).status).toBe(403);
  for (const authorization of ["", "Bearer", "Bearer  x", TOKEN, `Basic ${TOKEN}`])
    expect((await fetch(lookup, { headers: { authorization } })).status, authorization).toBe(403);
});

test("nothing is read of a body without the right token, and no more than the limit of one with it", async () => {
  const { platform, client } = await bench();
  await upload(client, "attic", HELLO);
  const path = `${platform.apiUrl}/accounts/local/workers/dispatch/namespaces/${NAMESPACE}/scripts/attic`;
  const put = (token: string, bytes: number): ClientRequest =>
    request(path, { method: "PUT", headers: { authorization: `Bearer ${token}`, "content-length": bytes } });
  const stranger = put("wrong", 1).on("error", () => undefined); // its connection is closed
  stranger.flushHeaders();
  const [refused] = (await once(stranger, "response")) as [IncomingMessage];
  expect(refused.statusCode).toBe(401);
  const large = put(TOKEN, UPLOAD_LIMIT_BYTES + 1);
  large.end(Buffer.alloc(UPLOAD_LIMIT_BYTES + 1));
  const [tooLarge] = (await once(large, "response")) as [IncomingMessage];
  expect(tooLarge.statusCode).toBe(413);
  stranger.destroy();
  large.destroy();
});

test.each(["../evil", "a/b", "Attic", "attic.json", "a".repeat(64), "-a", "ätt", "%2e%2e", "a\u0000"])(
  "the script name %j is refused",
  async (name) => {
    const { client, platform } = await bench();
    expect((await refusal(upload(client, name, HELLO))).slice(0, 2)).toEqual([400, 10016]);
    expect(platform.directory.get(NAMESPACE).scripts()).toEqual([]);
  },
);

test("invalid uploads are refused with the mistake", async () => {
  const { client, platform } = await bench();
  const cases: [string, Record<string, unknown>, number, string][] = [
    [HELLO, { main_module: "other.js" }, 10021, "other.js"],
    [HELLO, { compatibility_date: "yesterday" }, 10021, "compatibility_date"],
    [HELLO, { compatibility_flag: ["nodejs_compat"] }, 10021, "compatibility_flag"],
    [HELLO, { tags: ["a,b"] }, 10021, "tag"],
    [HELLO, { compatibility_flags: ["no_such_flag"] }, 10021, "no_such_flag"],
    [HELLO, { compatibility_flags: ["unsafe_module"] }, 10021, "unsafe_module"],
    [HELLO, { compatibility_flags: ["experimental", "unsafe_module"] }, 10021, "cannot yet be used"],
    [HELLO, { bindings: [{ type: "teleporter", name: "X" }] }, 10021, "type"],
    [HELLO, { bindings: [{ type: "durable_object_namespace", name: "M", class_name: "M" }] }, 10061, "'M'"],
    [HELLO, { bindings: [{ type: "service", name: "S", service: "nowhere" }] }, 10023, "nowhere"],
    [HELLO, { tags: Array.from({ length: 9 }, (_, n) => `t${n}`) }, 10021, "at most 8 tags"],
    [HELLO, { migrations: { new_tag: "v1", new_sqlite_classes: ["Gone"] } }, 10021, "'Gone'"],
    [HELLO, { migrations: { old_tag: "v1", new_tag: "v2" } }, 10079, "empty"],
    ["export default {", {}, 10021, "SyntaxError"],
    ["throw new Error('at start');", {}, 10021, "at start"],
    ["import 'nowhere'; export default {};", {}, 10021, "nowhere"],
  ];
  const results = await Promise.all(
    cases.map(async ([source, options], index) => refusal(upload(client, `script-${index}`, source, options))),
  );
  for (const [index, [status, code, message]] of results.entries()) {
    expect([status, code]).toEqual([400, cases[index]?.[2]]);
    expect(message).toContain(cases[index]?.[3]);
  }
  expect(platform.directory.get(NAMESPACE).scripts()).toEqual([]);
});

test("a body that is not a form, or not JSON, is refused", async () => {
  const { platform, client } = await bench();
  await upload(client, "attic", HELLO);
  const path = `${platform.apiUrl}/accounts/local/workers/dispatch/namespaces/${NAMESPACE}/scripts/attic`;
  const headers = { authorization: `Bearer ${TOKEN}` };
  const put = (suffix: string, body: string, type: string) =>
    fetch(path + suffix, { method: "PUT", body, headers: { ...headers, "content-type": type } });
  expect((await put("", HELLO, "application/javascript")).status).toBe(400);
  expect((await put("", "--x\r\nbroken", "multipart/form-data; boundary=x")).status).toBe(400);
  expect((await put("/tags", "{", "application/json")).status).toBe(400);
  expect((await put("/secrets", "[]", "application/json")).status).toBe(400);
  expect((await fetch(`${path}/nothing`, { headers })).status).toBe(404);
});

test("the SDK's own form of upload, which Cloudflare does not read, is refused here as well", async () => {
  const { namespaces, platform } = await bench();
  const sent = namespaces.scripts.update(
    "attic",
    {
      account_id: "local",
      dispatch_namespace: NAMESPACE,
      metadata: { main_module: "index.js" },
      files: [await toFile(Buffer.from(HELLO), "index.js", { type: "application/javascript+module" })],
    },
    { headers: { "Content-Type": null } },
  );
  expect(await refusal(sent)).toEqual([400, 10021, expect.stringContaining('no field "metadata"')]);
  expect(platform.directory.get(NAMESPACE).scripts()).toEqual([]);
});

test("a module is identified by its part's name, whatever its file name", async () => {
  const { client } = await bench();
  const put = (part: string, file: string) => {
    const body = new FormData();
    body.set("metadata", JSON.stringify({ main_module: "index.js", compatibility_date: "2026-08-01" }));
    body.set(part, new File([HELLO], file, { type: "application/javascript+module" }));
    return client.put(`/accounts/local/workers/dispatch/namespaces/${NAMESPACE}/scripts/attic`, { body });
  };
  expect((await refusal(put("files[]", "index.js"))).slice(0, 2)).toEqual([400, 10021]);
  await expect(put("index.js", "other.js")).resolves.toMatchObject({ success: true });
});
