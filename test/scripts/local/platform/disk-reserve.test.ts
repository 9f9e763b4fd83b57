import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { KIND_TAG } from "#protocol/machine-upload.ts";
import type { FreeSpace } from "../../../../scripts/system/free-space.ts";
import { bench, gate, NAMESPACE, upload } from "../support/harness.ts";

const STORES = `import { DurableObject } from "cloudflare:workers"; export class Store extends DurableObject {
  fetch(request) {
    const { sql } = this.ctx.storage;
    sql.exec("CREATE TABLE IF NOT EXISTS kept (b BLOB)");
    if (new URL(request.url).pathname === "/store") sql.exec("INSERT INTO kept VALUES (zeroblob(1100000))");
    return Response.json(sql.exec("SELECT count(*) AS n FROM kept").one().n);
  }
}
export default { fetch: (request, env) => env.STORE.getByName("one").fetch(request) };`;

const stored = {
  bindings: [{ type: "durable_object_namespace", name: "STORE", class_name: "Store" }],
  migrations: { new_tag: "v1", new_sqlite_classes: ["Store"] },
};

const ENOUGH: FreeSpace = { bytes: 2 * 1024 ** 3, files: 1_000_000 };

test.each([
  ["nearly full", { ...ENOUGH, bytes: 1024 ** 3 - 1 }],
  ["not full, and has room for few files", { ...ENOUGH, files: 19_999 }],
])(
  "while the disk is %s, only machines and what stores nothing go on, and all of it when there is space",
  async (_, low) => {
    let free = ENOUGH;
    const { client, platform, reports } = await bench({ freeSpace: () => Promise.resolve(free) });
    await upload(client, "hoarder", STORES, stored);
    await upload(client, "modest", STORES, stored);
    await upload(client, "attic", STORES, { ...stored, tags: [KIND_TAG] });
    const { call } = await gate(platform);
    for (const name of ["hoarder", "attic"]) expect(await (await call(name, "/store")).json()).toBe(1);
    expect(await (await call("modest", "/")).json()).toBe(0);

    free = low;
    const [hoarder, attic] = ["hoarder", "attic"].map((name) => platform.directory.find(NAMESPACE, name));
    const machine = attic?.pid;
    await expect.poll(() => hoarder?.pid).toBeNull();
    await hoarder?.wake(); // an alarm of its
    expect(hoarder?.pid).toBeNull();
    // The first call may find that the connection is lost.
    await expect.poll(async () => (await call("hoarder", "/store")).text()).toContain("the disk is nearly full");
    expect(await (await call("attic", "/store")).json()).toBe(2);
    expect(await (await call("modest", "/")).json()).toBe(0);
    expect(attic?.pid).toBe(machine);
    await attic?.halt();
    await expect.poll(async () => (await call("attic", "/")).status).toBe(200);

    free = ENOUGH;
    await expect.poll(async () => (await call("hoarder", "/")).status).toBe(200);
    expect(await (await call("hoarder", "/")).json()).toBe(1);
    expect(reports.map((line) => line.replace(/ on the disk.*?:|the disk of \S+/, ""))).toEqual([
      "less than 1024 MB, or room for 20000 files, are free hosted servers that store something do not run until there is more",
      "hosted servers run again:  has space",
    ]);
  },
);

test("many files that are empty count as something stored", async () => {
  const { client, platform } = await bench({ freeSpace: () => Promise.resolve({ ...ENOUGH, files: 0 }) });
  await upload(client, "many", STORES, stored);
  const many = platform.directory.find(NAMESPACE, "many");
  const folder = join(many?.folder.storage ?? "", "do", "Store-1");
  await mkdir(folder, { recursive: true });
  for (let file = 0; file < 300; file += 1) await writeFile(join(folder, `${file}.sqlite`), "");
  await expect.poll(() => many?.pid).toBeNull();
});
