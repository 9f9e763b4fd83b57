import { describe, expect, test } from "vitest";
import { SERVICE_WORKER_PATH } from "../../../control-api/src/push/service-worker.ts";
import { ask, Visitor } from "../sign-in/support/visitor.ts";
import { pageOf, somebody, textOf } from "./support/person.ts";

const HTML = { headers: { accept: "text/html,application/xhtml+xml,*/*;q=0.8" } };

describe("the address of Operator itself", () => {
  test("is the way in for a stranger with a browser, and says what Operator is", async () => {
    const response = await ask("/", HTML);
    expect(response.status).toBe(200);
    const page = await response.text();
    expect(page).toContain("<h1>Sign in</h1>");
    expect(textOf(page)).toContain("coding agents on all of your machines");
    expect(page).not.toContain("<nav");
  });

  test("is a line of text for a program, signed in or not", async () => {
    for (const headers of [{}, { accept: "*/*" }, { accept: "application/json" }]) {
      const response = await ask("/", { headers });
      expect(response.headers.get("content-type")).toMatch(/^text\/plain/);
      expect(response.headers.get("vary")).toBe("accept");
      expect(await response.text()).toContain("/mcp");
    }
  });

  test("tells a person without machines what to do next", async () => {
    const page = textOf(await pageOf(await somebody(), "/"));
    expect(page).toContain("Add a machine");
    expect(page).toContain("npx codez up");
    expect(page).toContain("Connect a client");
  });

  test("shows first what waits for the person, then what runs, then their machines", async () => {
    const alice = await somebody();
    await alice.user.machine("attic");
    await alice.user.logs("attic", [
      { session: "s1", type: "session.created", data: { title: "Asks something" } },
      { session: "s2", type: "session.created", data: { title: "Works away" } },
      { session: "s1", type: "permission.requested" },
      { session: "s2", type: "turn.started" },
    ]);
    const page = textOf(await pageOf(alice, "/"));
    const order = ["Needs you", "Asks something", "Running", "Works away", "1 of 1 online"].map((text) =>
      page.indexOf(text),
    );
    expect(order.every((at, index) => at > (order[index - 1] ?? -1))).toBe(true);
    const other = textOf(await pageOf(await somebody(), "/"));
    expect(other).not.toContain("attic");
    expect(other).not.toContain("Asks something");
  });
});

describe("an address that does not exist", () => {
  test("is a page for a browser and JSON for a program", async () => {
    const page = await ask("/no/such<b>page", HTML);
    expect([page.status, page.headers.get("content-type")]).toEqual([404, "text/html; charset=utf-8"]);
    const text = await page.text();
    expect(text).toContain("There is nothing here");
    expect(text).not.toContain("<b>page");
    for (const [path, init] of [
      ["/no/such", {}],
      ["/api/no", HTML],
    ] as const) {
      const response = await ask(path, init);
      expect(response.headers.get("content-type")).toContain("application/json");
    }
  });
});

describe("the pages", () => {
  test("of a person lead to the sign-in page without a session, and back afterwards", async () => {
    const { browser } = await somebody();
    for (const path of [
      "/machines",
      "/machines/attic",
      "/sessions?state=running",
      "/sessions/attic/s1",
      "/connect",
      "/account",
      "/audit?machine=attic",
      "/costs",
      "/retention",
    ]) {
      const response = await ask(path, HTML);
      expect(response.status).toBe(303);
      expect(response.headers.get("location")).toBe(`/sign-in?${new URLSearchParams({ next: path })}`);
      const onward = await browser.get(`/sign-in?${new URLSearchParams({ next: path })}`);
      expect(onward.headers.get("location")).toBe(path);
    }
  });

  test("load one style sheet and one script, from addresses that change with what they contain", async () => {
    const page = await (await ask("/", HTML)).text();
    const [, style = ""] = /<link rel="stylesheet" href="([^"]+)"/.exec(page) ?? [];
    const [, script = ""] = /<script src="([^"]+)"/.exec(page) ?? [];
    for (const [path, type] of [
      [style, "text/css"],
      [script, "text/javascript"],
    ] as const) {
      expect(path).toMatch(/^\/assets\/[a-z]+-[0-9a-f]{10}\.(css|js)$/);
      const response = await ask(path);
      expect(response.headers.get("content-type")).toContain(type);
      expect(response.headers.get("cache-control")).toContain("immutable");
      // A page of another version, during a deployment.
      const other = await ask(path.replace(/-[0-9a-f]+\./, "-0123456789."));
      expect([other.status, other.headers.get("cache-control")]).toEqual([200, "no-store"]);
      expect(await other.text()).toBe(await response.text());
    }
    expect((await ask("/assets/other-0123456789.css")).status).toBe(404);
  });

  test("load files that are nothing else than they say, run nothing by themselves, and are loaded by no other site", async () => {
    const page = await (await ask("/", HTML)).text();
    const loaded = Array.from(page.matchAll(/(?:href|src)="(\/[^"]+\.[a-z]+)"/g), ([, path = ""]) => path);
    expect(loaded.length).toBeGreaterThanOrEqual(5);
    for (const path of new Set([...loaded, SERVICE_WORKER_PATH, "/assets/push-0123456789.js"])) {
      const { status, headers } = await ask(path);
      expect([path, status]).toEqual([path, 200]);
      expect(Object.fromEntries(headers)).toMatchObject({
        "x-content-type-options": "nosniff",
        "content-security-policy": "default-src 'none'",
        "cross-origin-resource-policy": "same-origin",
      });
    }
  });

  test("weigh little: what every first view needs is under 45 KB, and its script under 10 KB compressed", async () => {
    const page = await (await ask("/", HTML)).text();
    const sizes: number[] = [page.length];
    for (const [, path = ""] of page.matchAll(/(?:href|src)="(\/assets\/[^"]+)"/g)) {
      const text = await (await ask(path)).text();
      sizes.push(text.length);
      const packed = new Response(new Blob([text]).stream().pipeThrough(new CompressionStream("gzip")));
      expect((await packed.arrayBuffer()).byteLength).toBeLessThan(10_000);
    }
    expect(sizes.reduce((sum, one) => sum + one)).toBeLessThan(45_000);
  });

  test("do not exist with MCPAuthKit, and the address stays a line of text", async () => {
    const { knock, ORIGIN } = await import("../support/operator.ts");
    const env = { AUTHKIT_URL: "https://authkit.test", LOOPBACK_OWNER: "" };
    expect((await knock(`${ORIGIN}/`, HTML, env)).headers.get("content-type")).toMatch(/^text\/plain/);
    for (const path of ["/machines", "/sessions", "/connect", "/live"])
      expect((await knock(`${ORIGIN}${path}`, HTML, env)).status).toBe(404);
  });

  test("keep a stranger's session cookie out: an unknown one is no session", async () => {
    const visitor = new Visitor();
    visitor.cookies.set("operator-8787", "x".repeat(43));
    expect((await visitor.get("/machines")).status).toBe(303);
  });
});
