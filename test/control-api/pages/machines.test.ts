import { describe, expect, test } from "vitest";
import { auditOf } from "./support/audit.ts";
import { pageOf, somebody, textOf } from "./support/person.ts";

const FACTS = {
  hostname: "attic.local",
  os: "Linux",
  arch: "x64",
  cpus: 8,
  memoryBytes: 16 * 1024 ** 3,
  codez: "0.3.0",
  agent: { name: "Claude Code", version: "2.1.329" },
  repos: [{ path: "/home/ann/src/api", branch: "main" }],
  capabilities: [],
  server: "up",
} as const;

describe("the list of machines", () => {
  test("says of each how it is, and of nobody else's that it is there", async () => {
    const [alice, bob] = [await somebody(), await somebody()];
    await alice.user.machine("attic");
    await alice.user.machine("barn");
    await alice.user.register("cellar");
    await alice.user.report("attic", { facts: { ...FACTS, repos: [], capabilities: [] } });
    await alice.user.report("barn", { facts: { ...FACTS, repos: [], capabilities: [], server: "down" } });
    await alice.user.logs("attic", [
      { session: "s1", type: "turn.started" },
      { session: "s2", type: "turn.started" },
      { session: "s3", type: "permission.requested" },
      { session: "s4", type: "session.idle", data: {} },
    ]);
    expect(textOf(await pageOf(alice, "/machines/attic"))).toContain("2 running, 1 waiting for you");
    const page = textOf(await pageOf(alice, "/machines"));
    expect(page).toMatch(
      /attic Online 2 running, 1 waiting for you .*attic\.local · Linux x64 · Claude Code 2\.1\.329/,
    );
    expect(page).toContain("barn Its server does not answer");
    expect(page).toContain("cellar Never connected");
    const others = textOf(await pageOf(bob, "/machines"));
    expect(others).not.toContain("attic");
    expect(others).toContain("No machines yet");
    for (const path of ["/machines/attic", "/machines/attic/remove", "/machines/attic/health"])
      expect((await bob.browser.get(path)).status).toBe(404);
  });

  test("finds by name, and says so when nothing is found", async () => {
    const alice = await somebody();
    for (const name of ["attic", "barn"]) await alice.user.machine(name);
    expect(textOf(await pageOf(alice, "/machines?q=bar"))).not.toContain("attic");
    expect(textOf(await pageOf(alice, "/machines?q=zzz"))).toContain("No machine of that name");
  });
});

describe("a machine's page", () => {
  test("shows what the machine says of itself as text, whatever it is", async () => {
    const alice = await somebody();
    await alice.user.machine("attic");
    const hostile = {
      ...FACTS,
      capabilities: [],
      hostname: "<img src=x onerror=alert(1)>\u202egnp.exe",
      repos: [{ path: "/x/</pre><script>1" }],
    };
    await alice.user.report("attic", { facts: hostile });
    const page = await pageOf(alice, "/machines/attic");
    expect(page).not.toContain("<img");
    expect(page).not.toMatch(/<script(?! src="\/assets\/)/);
    expect(page).not.toContain("\u202e");
    expect(textOf(page)).toContain(String.raw`\u{202e}`);
  });

  test("is reachable when its script is not, and says why", async () => {
    const alice = await somebody();
    await alice.user.machine("attic", { fails: { code: "machine_starting", machine: "attic" } });
    const page = textOf(await pageOf(alice, "/machines/attic"));
    expect(page).toContain("attic");
    expect(page).toContain("being started");
  });

  test("renames it, and says why not if that cannot be", async () => {
    const alice = await somebody();
    for (const name of ["attic", "barn"]) await alice.user.machine(name);
    await alice.user.script("loft");
    const form = await alice.browser.fields("/machines/attic");
    // Where the page opens: what is said stands there, far below its beginning.
    expect(await (await alice.browser.get("/machines/attic")).text()).toContain(
      'action="/machines/attic/rename#manage"',
    );
    const taken = await alice.browser.post("/machines/attic/rename", { ...form, name: "barn" });
    expect(taken.status).toBe(409);
    const page = await taken.text();
    expect(textOf(page)).toContain("Another of your machines is called &quot;barn&quot;");
    expect(page).toContain('value="barn"');
    expect((await alice.browser.post("/machines/attic/rename", { ...form, name: "api" })).status).toBe(409);
    const renamed = await alice.browser.post("/machines/attic/rename", { ...form, name: "Loft" });
    expect([renamed.status, renamed.headers.get("location")]).toEqual([303, "/machines/loft"]);
    expect((await alice.browser.get("/machines/attic")).status).toBe(404);
  });

  test("removes and disconnects it only after asking, and writes both into the audit log", async () => {
    const alice = await somebody();
    await alice.user.machine("attic");
    const form = await alice.browser.fields("/machines/attic/remove");
    expect(textOf(await pageOf(alice, "/machines/attic/remove"))).toContain("Remove attic?");
    const cut = await alice.browser.post("/machines/attic/rotate", form);
    expect(textOf(await cut.text())).toContain("codez setup attic");
    const removed = await alice.browser.post("/machines/attic/remove", form);
    expect(removed.headers.get("location")).toBe("/machines?removed=attic");
    expect(textOf(await pageOf(alice, "/machines?removed=attic"))).toContain("attic is removed");
    // Entries are written after the answer.
    const written = ["machine_changed attic token rotated", "machine_removed attic null"];
    await expect.poll(() => auditOf(alice.user)).toEqual(expect.arrayContaining(written));
    expect((await alice.browser.post("/machines/attic/remove", form)).status).toBe(404);
  });

  test("changes nothing without the form's token, from another site, or for somebody else", async () => {
    const [alice, bob] = [await somebody(), await somebody()];
    await alice.user.machine("attic");
    const csrf = await alice.browser.csrf("/machines/attic");
    const foreign = { "sec-fetch-site": "cross-site" };
    for (const change of ["rename", "rotate", "remove"]) {
      const path = `/machines/attic/${change}`;
      expect((await alice.browser.post(path, { name: "loft" })).status).toBe(403);
      expect((await alice.browser.post(path, { csrf: "x".repeat(csrf.length), name: "loft" })).status).toBe(403);
      expect((await alice.browser.post(path, { csrf, name: "loft" }, foreign)).status).toBe(403);
      expect((await bob.browser.post(path, { csrf: await bob.browser.csrf("/account"), name: "loft" })).status).toBe(
        404,
      );
    }
    expect(textOf(await pageOf(alice, "/machines"))).toContain("attic");
    expect(await auditOf(alice.user)).not.toContain("machine_changed attic token rotated");
  });

  test("shows what the machine says of its health and policy", async () => {
    const alice = await somebody();
    const told = {
      ok: false,
      problems: ["claude is not signed in: run `claude` <b>once</b>"],
      agent: { name: "Claude Code", version: "2.1.329", signed_in: false },
      config: {
        read_only: true,
        max_permission_mode: "plan",
        respond_permission: false,
        path: "/home/ann/.codez/serve.json",
      },
    };
    const result = { content: [], structuredContent: told };
    await alice.user.machine("attic", {
      answers: {
        "tools/call get_health_details": {
          headers: { "content-type": "application/json" },
          body: JSON.stringify({ jsonrpc: "2.0", id: "1", result }),
        },
      },
    });
    const page = await pageOf(alice, "/machines/attic/health");
    expect(page).not.toContain("<b>once");
    expect(textOf(page)).toMatch(/not signed in.*only read.*plan.*answered on the machine/);
  });
});

test("the page that adds a machine shows it as soon as it is there", async () => {
  const alice = await somebody();
  expect(textOf(await pageOf(alice, "/machines/new"))).toContain("It appears here by itself");
  await alice.user.machine("attic");
  expect(textOf(await pageOf(alice, "/machines/new"))).toMatch(/Just added.*attic/);
});

test("a thousand machines are pages of a hundred, each under 100 KB", async () => {
  const alice = await somebody();
  const names = Array.from({ length: 110 }, (_, index) => `m${String(index).padStart(4, "0")}`);
  for (let from = 0; from < names.length; from += 30)
    await Promise.all(names.slice(from, from + 30).map((name) => alice.user.register(name)));
  const first = await pageOf(alice, "/machines");
  expect(first.match(/href="\/machines\/m\d/g)).toHaveLength(100);
  expect(first.length).toBeLessThan(100_000);
  expect(textOf(await pageOf(alice, "/machines?from=100"))).toContain("101 to 110 of 110");
});
