import { runInDurableObject } from "cloudflare:test";
import { describe, expect, it, onTestFinished, vi } from "vitest";
import { ServerStore } from "../../../control-api/src/user/server-store.ts";
import { wrapper } from "../../../control-api/src/machines/provisioning.ts";
import type { User } from "../../../control-api/src/user/user.ts";
import { deployServer, type Given, mainModule } from "../support/deploy-server.ts";
import { shapesOf, type UploadPart } from "../support/golden.ts";
import { codeOf, env, TestUser } from "../support/operator.ts";

const CONFIG = {
  mainModule: "index.js",
  compatibilityDate: "2026-08-01",
  compatibilityFlags: [],
  vars: { COLOUR: "red", SIZES: [1, 2] },
  objects: [{ name: "NOTES", className: "Notes" }],
  migrations: [
    { tag: "v1", new_sqlite_classes: ["Notes"] },
    { tag: "v2", new_sqlite_classes: ["More"] },
  ],
};
const MODULE = mainModule("export default {};");

function deploy(user: TestUser, name: string, given: Given = {}): Promise<Response> {
  return deployServer(user, name, { config: CONFIG, ...given });
}

async function uploadsOf(user: TestUser, name: string) {
  return (await user.platformCalls(name)).filter(({ method }) => method === "PUT");
}

describe("a token that is limited to a hosted server", () => {
  it("reaches that server, no other, and no later server of the same name", async () => {
    const alice = new TestUser();
    await deploy(alice, "notes");
    await deploy(alice, "other");
    const made = await alice.rest("POST", "/api/tokens", { label: "x", machines: ["notes"] });
    const narrow = new TestUser(alice.id, (await made.json<{ token: string }>()).token);
    const names = async (): Promise<string[]> =>
      (await narrow.json<{ machines: { name: string }[] }>("/api/machines")).machines.map(({ name }) => name);
    expect(await names()).toEqual(["notes"]);
    await alice.rest("DELETE", "/api/servers/notes");
    expect((await alice.register("notes")).status).toBe(201);
    expect(await names()).toEqual([]);
  });

  it("learns nothing of another one, and neither does another user", async () => {
    const alice = new TestUser();
    await deploy(alice, "notes");
    await deploy(alice, "other");
    const made = await alice.rest("POST", "/api/tokens", { label: "x", machines: ["notes"] });
    const narrow = new TestUser(alice.id, (await made.json<{ token: string }>()).token);
    const seenBy = async (user: TestUser): Promise<unknown> => ({
      names: (await user.json<{ servers: { name: string }[] }>("/api/servers")).servers.map(({ name }) => name),
      server: (await user.rest("GET", "/api/servers/other")).status,
      secrets: (await user.rest("GET", "/api/servers/other/secrets")).status,
    });
    expect(await seenBy(alice)).toMatchObject({ names: ["notes", "other"], server: 200 });
    expect(await seenBy(narrow)).toEqual({ names: ["notes"], server: 404, secrets: 404 });
    expect(await seenBy(new TestUser())).toEqual({ names: [], server: 404, secrets: 404 });
  });
});

describe("a hosted server's upload", () => {
  it("keeps its own modules in a folder, has Operator's wrapper as main module, and no binding to Operator", async () => {
    const alice = new TestUser();
    const deployed = await deploy(alice, "notes");
    expect(deployed.status).toBe(201);
    expect(await deployed.json()).toMatchObject({ name: "notes", version: 1, versions: [{ version: 1 }] });
    const [upload] = await uploadsOf(alice, "notes");
    expect(upload?.parts?.map(({ name }) => name)).toEqual(["metadata", "entry.js", "host.js", "server/index.js"]);
    expect(upload?.metadata).toEqual({
      main_module: "entry.js",
      compatibility_date: "2026-08-01",
      compatibility_flags: ["enable_request_signal"],
      tags: ["operator-hosted"],
      observability: { enabled: true },
      keep_bindings: ["secret_text"],
      migrations: { new_tag: "v2", steps: [{ new_sqlite_classes: ["Notes"] }, { new_sqlite_classes: ["More"] }] },
      bindings: [
        { type: "plain_text", name: "OPERATOR_OWNER", text: alice.id },
        { type: "plain_text", name: "OPERATOR_NAME", text: "notes" },
        { type: "plain_text", name: "OPERATOR_SLUG", text: await alice.slug("notes") },
        { type: "plain_text", name: "OPERATOR_TEMPLATE", text: "hosted-1" },
        { type: "plain_text", name: "OPERATOR_WRAPPER", text: wrapper().version },
        { type: "plain_text", name: "COLOUR", text: "red" },
        { type: "json", name: "SIZES", json: [1, 2] },
        { type: "durable_object_namespace", name: "NOTES", class_name: "Notes" },
      ],
    });
  });

  it("has the form that wrangler sends: the same parts for every kind of module, and metadata of the same shape", async () => {
    const alice = new TestUser();
    const modules = [
      MODULE,
      { name: "add.wasm", type: "application/wasm", text: "\0asm\u0001\0\0\0" },
      { name: "note.txt", type: "text/plain", text: "a note" },
      { name: "blob.bin", type: "application/octet-stream", text: "bytes" },
    ];
    const migrations = CONFIG.migrations.slice(0, 1);
    expect((await deploy(alice, "notes", { modules, config: { ...CONFIG, migrations } })).status).toBe(201);
    const [upload] = await uploadsOf(alice, "notes");
    const golden: UploadPart[] = await (await fetch("http://platform.test/wrangler-upload/hosted")).json();
    const heads = (parts: readonly UploadPart[]) =>
      parts.map(({ name, filename, type }) => ({ name, filename, type })).sort((a, b) => (a.name < b.name ? -1 : 1));
    expect(heads(upload?.parts ?? [])).toEqual(heads(golden));
    const { bindings: theirs, ...expected } = golden[0]?.json ?? {};
    // wrangler adds migrations once it has asked for the script's tag, which a dry run does not; tags and kept secrets are our choice.
    const { tags, migrations: _, keep_bindings: kept, bindings, ...rest } = upload?.parts?.[0]?.json ?? {};
    expect([tags, kept]).toEqual([["operator-hosted"], ["secret_text"]]);
    expect(rest).toEqual(expected);
    expect(shapesOf(bindings)).toEqual(shapesOf(theirs));
  });

  it("applies only migrations that the script does not have", async () => {
    const alice = new TestUser();
    await deploy(alice, "notes", { config: { ...CONFIG, migrations: CONFIG.migrations.slice(0, 1) } });
    expect(
      (await deploy(alice, "notes", { config: { ...CONFIG, migrations: CONFIG.migrations.slice(0, 1) } })).status,
    ).toBe(200);
    const uploads = await uploadsOf(alice, "notes");
    expect(uploads.map(({ metadata }) => metadata?.migrations)).toEqual([
      { new_tag: "v1", steps: [{ new_sqlite_classes: ["Notes"] }] },
      undefined,
    ]);
  });

  it("restores a server whose owner's database was lost", async () => {
    const alice = new TestUser();
    await deploy(alice, "notes");
    const stub = env.USER.getByName(alice.id) as unknown as DurableObjectStub<User>;
    await runInDurableObject(stub, (_, { storage }) => {
      for (const table of ["server", "server_version", "server_module"]) storage.sql.exec(`DELETE FROM ${table}`);
    });
    expect(await alice.json("/api/servers")).toEqual({ servers: [] });
    expect((await deploy(alice, "notes")).status).toBe(201);
    expect((await uploadsOf(alice, "notes")).at(-1)?.metadata?.migrations).toBeUndefined();
  });

  it.each<[string, Given, string]>([
    ["without its main module", { modules: [{ ...MODULE, name: "other.js" }] }, "is not among the modules"],
    [
      "with a main module that is no code",
      { modules: [{ ...MODULE, type: "text/plain" }] },
      "is not among the modules",
    ],
    ["with a module outside of its folder", { modules: [MODULE, { ...MODULE, name: "../entry.js" }] }, "cannot be a module's name"], // prettier-ignore
    ["with two modules of one name", { modules: [MODULE, MODULE] }, "the same name"],
    ["with a module of an unknown type", { modules: [MODULE, { ...MODULE, name: "x.html", type: "text/html" }] }, "text/html"], // prettier-ignore
    [
      "with a binding of Operator's name",
      { config: { ...CONFIG, vars: { operator_owner: "bob" } } },
      "config is not valid",
    ],
    ["with a field that no server has", { config: { ...CONFIG, services: [] } }, "config is not valid"],
    ["that is too large", { length: 100_000_000 }, "8 MB"],
  ])("%s is refused, and nothing is uploaded", async (_, given, why) => {
    const alice = new TestUser();
    const refused = await deploy(alice, "notes", given);
    expect([refused.status, await refused.text()]).toEqual([400, expect.stringContaining(why)]);
    expect(await uploadsOf(alice, "notes")).toEqual([]);
    expect(await alice.json("/api/machines")).toEqual({ machines: [] });
  });

  it.each(["api", "Notes", "a--b"])("to the name %s is refused", async (name) => {
    expect((await deploy(new TestUser(), name)).status).toBe(400);
  });

  it("keeps the last five versions and rolls back only to those", async () => {
    const alice = new TestUser();
    for (let version = 1; version <= 7; version += 1) await deploy(alice, "notes");
    const { versions }: { versions: { version: number }[] } = await alice.json("/api/servers/notes");
    expect(versions.map(({ version }) => version)).toEqual([7, 6, 5, 4, 3]);
    const gone = await alice.rest("POST", "/api/servers/notes/rollback", { version: 2 });
    expect([gone.status, await gone.text()]).toEqual([400, expect.stringContaining("It has 7, 6, 5, 4, 3")]);
    const back = await alice.rest("POST", "/api/servers/notes/rollback", {});
    expect(await back.json()).toMatchObject({ version: 6 });
    expect(await (await deploy(alice, "notes")).json()).toMatchObject({ version: 8 });
  });

  it("stores a module of several megabytes completely", async () => {
    const alice = new TestUser();
    const text = `export default {}; // ${"0123456789".repeat(250_000)}`;
    await deploy(alice, "notes", { modules: [{ ...MODULE, text }] });
    const stub = env.USER.getByName(alice.id) as unknown as DurableObjectStub<User>;
    const stored = await runInDurableObject(stub, (_, { storage }) => new ServerStore(storage).bundle("notes", 1));
    expect(stored?.modules.map(({ content }) => new TextDecoder().decode(content) === text)).toEqual([true]);
    expect(stored?.config).toEqual(CONFIG);
  });
});

describe("managing hosted servers", () => {
  it("is allowed to their owner, and not with a read-only token", async () => {
    const [alice, bob] = [new TestUser(), new TestUser()];
    await deploy(alice, "notes");
    const made = await alice.rest("POST", "/api/tokens", { label: "look", scopes: ["operator:read"] });
    const { token }: { token: string } = await made.json();
    const looking = new TestUser(alice.id, token);
    expect((await looking.fetch("/api/servers/notes")).status).toBe(200);
    for (const [method, path] of [
      ["DELETE", "/api/servers/notes"],
      ["POST", "/api/servers/notes/rollback"],
      ["PUT", "/api/servers/notes/secrets/KEY"],
    ] as const) {
      expect([path, (await looking.rest(method, path, {})).status]).toEqual([path, 403]);
      const refused = await bob.rest(method, path, { value: "x" });
      expect([path, refused.status, await codeOf(refused)]).toEqual([path, 404, "machine_unknown"]);
    }
    expect((await deploy(looking, "notes")).status).toBe(403);
    expect(await bob.json("/api/servers")).toEqual({ servers: [] });
  });

  it("says why the platform refuses a secret", async () => {
    const alice = new TestUser();
    await deploy(alice, "notes");
    const [real, message] = [globalThis.fetch, "a script may have at most 128 bindings"];
    const spied = vi.spyOn(globalThis, "fetch").mockImplementation(async (input, init) => {
      const request = new Request(input, init);
      if (!request.url.endsWith("/secrets")) return real(request);
      return Response.json(
        { success: false, errors: [{ code: 10_021, message }], messages: [], result: null },
        { status: 400 },
      );
    });
    onTestFinished(() => spied.mockRestore());
    const refused = await alice.rest("PUT", "/api/servers/notes/secrets/KEY", { value: "x" });
    expect([refused.status, await refused.text()]).toEqual([400, expect.stringContaining(message)]);
  });

  it("cannot confuse servers and machines: removing one by the other's route deletes nothing", async () => {
    const alice = new TestUser();
    await alice.machine("attic");
    expect((await alice.rest("DELETE", "/api/servers/attic")).status).toBe(404);
    await deploy(alice, "notes");
    expect((await alice.rest("DELETE", "/api/servers/notes")).status).toBe(204);
    const { machines }: { machines: { name: string }[] } = await alice.json("/api/machines");
    expect(machines.map(({ name }) => name)).toEqual(["attic"]);
  });
});
