import { describe, expect, it } from "vitest";
import { scriptVersion } from "../../../control-api/src/machines/provisioning.ts";
import { reportKeyOf } from "../../../control-api/src/machines/report-key.ts";
import { shapesOf, type UploadPart } from "../support/golden.ts";
import { codeOf, env, TestUser } from "../support/operator.ts";

describe("a machine's script", () => {
  it("is uploaded with the official SDK: one module, the machine's own bindings, tags, one migration", async () => {
    const alice = new TestUser();
    const registered = await alice.register("attic");
    expect(registered.status).toBe(201);
    const slug = await alice.slug("attic");
    const [upload] = (await alice.platformCalls("attic")).filter(({ method }) => method === "PUT");
    expect(upload?.path).toBe(`/client/v4/accounts/local/workers/dispatch/namespaces/operator/scripts/${slug}`);
    expect(upload?.authorization).toBe("Bearer platform-token");
    expect(upload?.module).toMatchObject({ name: "index.js", type: "application/javascript+module" });
    expect(upload?.module?.bytes).toBeGreaterThan(10_000);
    expect(upload?.metadata).toMatchObject({
      main_module: "index.js",
      tags: ["operator-machine", `template-${scriptVersion(env)}`],
      migrations: { new_tag: "v1", new_sqlite_classes: ["Machine"] },
    });
    const byName = Object.fromEntries(upload?.metadata?.bindings.map(({ name, ...binding }) => [name, binding]) ?? []);
    expect(byName).toEqual({
      MACHINE: { type: "durable_object_namespace", class_name: "Machine" },
      OWNER: { type: "plain_text", text: alice.id },
      NAME: { type: "plain_text", text: "attic" },
      SLUG: { type: "plain_text", text: slug },
      TEMPLATE: { type: "plain_text", text: scriptVersion(env) },
      IDENTITY: { type: "plain_text", text: "identity-of-attic" },
      LINK_TOKEN_HASH: { type: "secret_text", text: expect.stringMatching(/^[0-9a-f]{64}$/) },
      LINK_ISSUED_MS: { type: "plain_text", text: expect.stringMatching(/^[0-9]{13}$/) },
      LINK_KEY: { type: "plain_text", text: "" },
      LINK_SECRET: { type: "secret_text", text: expect.stringMatching(/^[0-9a-f]{64}$/) },
      REPORT_KEY: { type: "secret_text", text: await reportKeyOf(alice.id, slug, env.REPORT_SECRET) },
      CONTROL: { type: "service", service: "operator-2", entrypoint: "Reports" },
    });
  });

  it("is uploaded in the form that wrangler sends: the same parts, and metadata of the same shape", async () => {
    const alice = new TestUser();
    await alice.register("attic");
    const [upload] = (await alice.platformCalls("attic")).filter(({ method }) => method === "PUT");
    const golden: UploadPart[] = await (await fetch("http://platform.test/wrangler-upload/machine")).json();
    const head = ({ name, filename, type }: UploadPart) => ({ name, filename, type });
    expect(upload?.parts?.map(head)).toEqual(golden.map(head));
    const { tags, migrations, bindings, ...rest } = upload?.parts?.[0]?.json ?? {};
    // wrangler adds migrations once it has asked for the script's tag, which a dry run does not.
    expect([tags, migrations]).not.toContain(undefined);
    const { keep_bindings: _, bindings: theirs, ...expected } = golden[0]?.json ?? {};
    expect(rest).toEqual(expected);
    expect(shapesOf(bindings)).toEqual(shapesOf(theirs));
  });

  it("is uploaded even if the reply to its first upload was lost after its migration was applied", async () => {
    const alice = new TestUser();
    expect((await alice.register("echoless")).status).toBe(201);
    const uploads = (await alice.platformCalls("echoless")).filter(({ method }) => method === "PUT");
    expect(uploads.at(-1)?.metadata?.migrations).toBeUndefined();
    expect(uploads.length).toBeGreaterThan(1);
  });

  it("gets a new version when the report secret changes, from which its key is derived", () => {
    const [one, other] = [scriptVersion({ REPORT_SECRET: "one" }), scriptVersion({ REPORT_SECRET: "other" })];
    expect(one).not.toBe(other);
    expect(one).toMatch(/^[0-9a-f]{8}-[0-9a-f]{6}$/);
    expect(scriptVersion({ REPORT_SECRET: "one" })).toBe(one);
  });

  it("contains the hash of the shown token, and never the token", async () => {
    const alice = new TestUser();
    const { token }: { token: string } = await (await alice.register("attic")).json();
    const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(token));
    const hash = Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, "0")).join("");
    const calls = JSON.stringify(await alice.platformCalls("attic"));
    expect(calls).toContain(hash);
    expect(calls).not.toContain(token);
  });

  it("is replaced without the migration that it already has, because the platform would refuse it", async () => {
    const alice = new TestUser();
    await alice.register("attic");
    expect((await alice.rest("POST", "/api/machines/attic/token")).status).toBe(200);
    const uploads = (await alice.platformCalls("attic")).filter(({ method }) => method === "PUT");
    expect(uploads.map(({ metadata }) => metadata?.migrations)).toEqual([
      { new_tag: "v1", new_sqlite_classes: ["Machine"] },
      undefined,
    ]);
  });

  it("leaves neither a machine nor a taken name when its upload fails", async () => {
    const alice = new TestUser();
    const refused = await alice.register("unlucky");
    expect(refused.status).toBe(500);
    expect(await codeOf(refused)).toBe("internal");
    expect(await alice.json("/api/machines")).toEqual({ machines: [] });
  });

  it("is deleted with its storage when its machine is removed, even if it is already gone", async () => {
    const alice = new TestUser();
    await alice.register("attic");
    const path = (await alice.platformCalls("attic")).at(-1)?.path;
    expect((await alice.rest("DELETE", "/api/machines/attic")).status).toBe(204);
    expect((await alice.platformCalls("attic")).at(-1)).toMatchObject({ method: "DELETE", path });
    await alice.register("cellar");
    const place = `http://platform.test${(await alice.platformCalls("cellar")).at(-1)?.path}`;
    await fetch(place, { method: "DELETE" });
    expect((await alice.rest("DELETE", "/api/machines/cellar")).status).toBe(204);
  });

  it("is uploaded again when its machine is registered again", async () => {
    const alice = new TestUser();
    await alice.register("attic");
    await fetch(`http://platform.test${(await alice.platformCalls("attic")).at(-1)?.path}`, { method: "DELETE" });
    expect((await alice.register("attic")).status).toBe(200);
    const last = (await alice.platformCalls("attic")).at(-1);
    expect(last?.metadata?.migrations).toEqual({ new_tag: "v1", new_sqlite_classes: ["Machine"] });
  });
});
