import { describe, expect, it } from "vitest";
import type { MachineDetail, MachineSummary, Registration } from "#protocol/rest-api.ts";
import { OWNER } from "../../../control-api/src/http/caller.ts";
import { scriptVersion, TEMPLATE } from "../../../control-api/src/machines/provisioning.ts";
import { codeOf, env, knock, ORIGIN, TestUser } from "../support/operator.ts";

const names = async (user: TestUser): Promise<string[]> =>
  (await user.json<{ machines: MachineSummary[] }>("/api/machines")).machines.map(({ name }) => name);

/** The hash of the link token that a machine's script was last given. */
async function tokenHash(user: TestUser, name: string): Promise<string | undefined> {
  const last = (await user.platformCalls(name)).findLast(({ method }) => method === "PUT");
  return last?.metadata?.bindings.find((binding) => binding["name"] === "LINK_TOKEN_HASH")?.["text"];
}

describe("registering", () => {
  it("a new machine returns 201 with the dial address, the machine's endpoints, and its token, shown this once", async () => {
    const alice = new TestUser();
    const response = await alice.register("attic");
    const slug = await alice.slug("attic");
    expect(slug).toMatch(/^attic--[a-z0-9]{8}$/);
    expect(response.status).toBe(201);
    expect(await response.json<Registration>()).toEqual({
      name: "attic",
      slug,
      linkUrl: `ws://127.0.0.1:8787/m/${slug}/link`,
      mcpUrl: `${ORIGIN}/m/${slug}/mcp`,
      mcpHostUrl: `http://${slug}.localhost:8787/mcp`,
      token: expect.stringMatching(/^opl_[\w-]{43}\.[0-9a-z]{6}\.[\w-]{43}$/),
    });
    expect(JSON.stringify(await alice.json("/api/machines"))).not.toContain("opl_");
  });

  it("of the operator's own account gives plain names", async () => {
    const owner = new TestUser(OWNER);
    const { slug }: Registration = await (await owner.register("owners-own")).json();
    expect(slug).toBe("owners-own");
    await owner.rest("DELETE", "/api/machines/owners-own");
  });

  it("the same machine again returns its name, without a token, and its token stays valid", async () => {
    const alice = new TestUser();
    await alice.register("attic");
    const before = await tokenHash(alice, "attic");
    const again = await alice.register("attic");
    expect(again.status).toBe(200);
    expect(await again.json()).toMatchObject({ name: "attic", token: null });
    expect(await tokenHash(alice, "attic")).toBe(before);
    expect(await names(alice)).toEqual(["attic"]);
  });

  it("the same machine with `rotate` returns a new token, and the old one is refused", async () => {
    const alice = new TestUser();
    const first: Registration = await (await alice.register("attic")).json();
    const before = await tokenHash(alice, "attic");
    const second: Registration = await (await alice.register("attic", { rotate: true })).json();
    expect(second.token).toMatch(/^opl_/);
    expect(second.token).not.toBe(first.token);
    expect(await tokenHash(alice, "attic")).not.toBe(before);
  });

  it("another machine under a taken name is refused, and nothing changes", async () => {
    const alice = new TestUser();
    await alice.register("attic");
    const before = await tokenHash(alice, "attic");
    const taken = await alice.register("attic", { identity: "another-computer" });
    expect(taken.status).toBe(409);
    expect(await taken.json()).toMatchObject({
      error: { code: "name_taken", message: expect.stringContaining("--replace"), retryable: false },
    });
    expect(await tokenHash(alice, "attic")).toBe(before);
    expect((await alice.register("attic")).status).toBe(200);
  });

  it("another machine with `replace` takes over the name with a token of its own, and the first machine loses it", async () => {
    const alice = new TestUser();
    await alice.machine("attic");
    const before = await tokenHash(alice, "attic");
    const taken = await alice.register("attic", { identity: "another-computer", replace: true });
    expect(taken.status).toBe(200);
    expect(await taken.json()).toMatchObject({ token: expect.stringMatching(/^opl_/) });
    expect(await tokenHash(alice, "attic")).not.toBe(before);
    const close = (await alice.reached("attic")).find(({ path }) => path === "/operator/close");
    expect(JSON.parse(close?.body ?? "")).toMatchObject({ code: 4403 });
    expect((await alice.register("attic")).status).toBe(409);
  });

  it("the same name for two users makes two machines", async () => {
    const [alice, bob] = [new TestUser(), new TestUser()];
    expect((await alice.register("attic")).status).toBe(201);
    expect((await bob.register("attic")).status).toBe(201);
    expect(await alice.slug("attic")).not.toBe(await bob.slug("attic"));
    await alice.rest("DELETE", "/api/machines/attic");
    expect(await names(bob)).toEqual(["attic"]);
  });

  it("two machines under one name at the same moment gives it to one of them", async () => {
    const alice = new TestUser();
    const both = await Promise.all([
      alice.register("attic", { identity: "computer-number-1" }),
      alice.register("attic", { identity: "computer-number-2" }),
    ]);
    expect(both.map(({ status }) => status).toSorted()).toEqual([201, 409]);
  });

  it.each([
    ["no body", undefined],
    ["no identity", { name: "attic" }],
    ["an identity that can be guessed", { name: "attic", identity: "short" }],
    ["an invalid name", { name: "Attic!", identity: "identity-of-attic" }],
    ["a reserved name", { name: "mcp", identity: "identity-of-attic" }],
    ["a slug of somebody", { name: "attic--abcd1234", identity: "identity-of-attic" }],
  ])("with %s is refused", async (_, body) => {
    const alice = new TestUser();
    const response = await alice.rest("POST", "/api/machines", body);
    expect(response.status).toBe(400);
    expect(await codeOf(response)).toBe("invalid_request");
    expect(await names(alice)).toEqual([]);
  });
});

describe("the list", () => {
  it("shows the scripts' reports by name, and asks no script", async () => {
    const alice = new TestUser();
    for (const name of ["cellar", "attic", "barn"]) await alice.machine(name);
    await alice.report("attic", { online: true, lastSeenMs: 5 });
    await alice.report("barn", { online: false, lastSeenMs: 6 });
    const { machines }: { machines: MachineSummary[] } = await alice.json("/api/machines");
    expect(machines.map(({ name, status, lastSeenMs }) => [name, status, lastSeenMs])).toEqual([
      ["attic", "online", 5],
      ["barn", "offline", 6],
      ["cellar", "never_connected", null],
    ]);
    for (const name of ["attic", "barn", "cellar"]) expect(await alice.reached(name)).toEqual([]);
  });

  it("of one user has nothing of another's", async () => {
    const [alice, bob] = [new TestUser(), new TestUser()];
    await alice.register("attic");
    await bob.register("cellar");
    expect(await names(alice)).toEqual(["attic"]);
    expect(await names(bob)).toEqual(["cellar"]);
  });
});

describe("one machine", () => {
  it("is asked, and no other machine is", async () => {
    const alice = new TestUser();
    await alice.machine("attic");
    await alice.machine("cellar");
    const detail: MachineDetail = await alice.json("/api/machines/cellar");
    expect(detail).toMatchObject({
      name: "cellar",
      status: "online",
      state: { online: true, sessions: [] },
      error: null,
    });
    expect((await alice.reached("cellar")).map(({ path }) => path)).toEqual(["/operator/state"]);
    expect(await alice.reached("attic")).toEqual([]);
  });

  it("is shown from the registry, with the reason, if it does not answer", async () => {
    const alice = new TestUser();
    const slug = await alice.slug("attic");
    await alice.machine("attic", { fails: { code: "machine_failed", machine: slug, reason: "its script is broken" } });
    const response = await alice.fetch("/api/machines/attic");
    expect(response.status).toBe(200);
    expect(await response.json()).toMatchObject({
      name: "attic",
      status: "never_connected",
      state: null,
      error: { code: "machine_failed", machine: "attic", reason: "its script is broken", retryable: false },
    });
  });

  it("is not given back while its script does not answer, and says so", async () => {
    const alice = new TestUser();
    await alice.machine("attic", { fails: { code: "machine_starting", machine: "attic" } });
    const answer = await alice.rest("POST", "/api/machines/attic/restore");
    expect([answer.status, await codeOf(answer)]).toEqual([503, "machine_starting"]);
  });

  it("is reported as unknown, in the same way for another user's machine and one that does not exist", async () => {
    const [alice, bob] = [new TestUser(), new TestUser()];
    await bob.machine("attic");
    for (const [method, path, body] of [
      ["GET", "/api/machines/attic", undefined],
      ["PATCH", "/api/machines/attic", { name: "other" }],
      ["DELETE", "/api/machines/attic", undefined],
      ["POST", "/api/machines/attic/token", undefined],
      ["POST", "/api/machines/attic/restore", undefined],
      ["POST", "/api/machines/attic/upgrade", undefined],
    ] as const) {
      const answers = [];
      for (const target of [path, path.replace("attic", "nobody")]) {
        const response = await alice.rest(method, target, body);
        answers.push([response.status, (await response.text()).replaceAll("nobody", "attic")]);
      }
      expect(answers[0]?.[0]).toBe(404);
      expect(answers[0]).toEqual(answers[1]);
    }
    expect(await names(bob)).toEqual(["attic"]);
  });
});

describe("rotating", () => {
  it("closes the link that used the old token before the new one is live", async () => {
    const alice = new TestUser();
    await alice.machine("attic");
    const before = await tokenHash(alice, "attic");
    const rotated = await alice.rest("POST", "/api/machines/attic/token");
    expect(rotated.status).toBe(200);
    expect(await rotated.json()).toMatchObject({ name: "attic", token: expect.stringMatching(/^opl_/) });
    expect(await tokenHash(alice, "attic")).not.toBe(before);
    const close = (await alice.reached("attic")).find(({ path }) => path === "/operator/close");
    expect(JSON.parse(close?.body ?? "")).toMatchObject({ code: 4403, reason: expect.stringContaining("rotated") });
    expect((await alice.register("attic")).status).toBe(200); // it is still the same machine
  });
});

describe("removing", () => {
  it("closes the link, deletes the script, and frees the name", async () => {
    const alice = new TestUser();
    await alice.machine("attic");
    await alice.machine("cellar");
    expect((await alice.rest("DELETE", "/api/machines/attic")).status).toBe(204);
    const close = (await alice.reached("attic")).find(({ path }) => path === "/operator/close");
    expect(JSON.parse(close?.body ?? "")).toMatchObject({ code: 4403 });
    expect(await names(alice)).toEqual(["cellar"]);
    expect((await alice.register("attic", { identity: "another-computer" })).status).toBe(201);
  });
});

describe("renaming", () => {
  const events = [{ seq: 1, atMs: 5, type: "message", session: "s1", data: { text: "hello" } }];

  it("moves the token, the log, the facts and the date, sends the link the new name, and ends the old script", async () => {
    const alice = new TestUser();
    await alice.machine("attic", { log: { epoch: "e1", events } });
    await alice.script("loft");
    const facts = {
      hostname: "h",
      os: "linux",
      arch: "x64",
      cpus: 1,
      memoryBytes: 1,
      codez: "1",
      agent: null,
      repos: [],
      capabilities: [],
    };
    await alice.report("attic", { online: true, lastSeenMs: 5, facts, position: { epoch: "e1", seq: 1 } });
    const before = await tokenHash(alice, "attic");
    const { createdMs } = await alice.json<MachineDetail>("/api/machines/attic");
    const renamed = await alice.rest("PATCH", "/api/machines/attic", { name: "loft" });
    expect(renamed.status).toBe(200);
    expect(await renamed.json()).toMatchObject({
      name: "loft",
      slug: await alice.slug("loft"),
      createdMs,
      facts,
      lastSeenMs: 5,
      status: "offline",
    });
    expect(await tokenHash(alice, "loft")).toBe(before);
    const posted = (await alice.reached("loft")).filter(
      ({ method, path }) => method === "POST" && path === "/operator/log",
    );
    expect(posted.map(({ body }): unknown => JSON.parse(body))).toEqual([
      { position: { epoch: "e1", seq: 1 }, pushed: 0, streams: [] },
      events,
    ]);
    const close = (await alice.reached("attic")).find(({ path }) => path === "/operator/close");
    expect(JSON.parse(close?.body ?? "")).toEqual({ code: 4410, reason: "loft" });
    expect((await alice.platformCalls("attic")).at(-1)?.method).toBe("DELETE");
    expect(await names(alice)).toEqual(["loft"]);
    expect((await alice.register("loft", { identity: "identity-of-attic" })).status).toBe(200);
  });

  it("moves a long log page by page, each event once and in order", async () => {
    const alice = new TestUser();
    const long = [1, 2, 3, 4, 5].map((seq) => ({ seq, atMs: seq, type: "message", session: null, data: null }));
    await alice.machine("attic", { log: { epoch: "e1", events: long, pageRows: 2 } });
    await alice.script("loft");
    expect((await alice.rest("PATCH", "/api/machines/attic", { name: "loft" })).status).toBe(200);
    const pages = (await alice.reached("loft")).filter(({ path }) => path === "/operator/log");
    expect(pages.map(({ body }) => JSON.parse(body).length)).toEqual([2, 2, 1]);
    expect(pages.flatMap(({ body }) => JSON.parse(body))).toEqual(long);
  });

  it("moves the log of an older script once, although that script returns all of it each time", async () => {
    const alice = new TestUser();
    await alice.machine("attic", { answers: { "GET /operator/log": { body: JSON.stringify(events) } } });
    await alice.script("loft");
    expect((await alice.rest("PATCH", "/api/machines/attic", { name: "loft" })).status).toBe(200);
    const pages = (await alice.reached("loft")).filter(({ path }) => path === "/operator/log");
    expect(pages.map(({ body }) => JSON.parse(body))).toEqual([events]);
  });

  it("to its current name changes nothing", async () => {
    const alice = new TestUser();
    await alice.machine("attic");
    const before = (await alice.platformCalls("attic")).length;
    expect((await alice.rest("PATCH", "/api/machines/attic", { name: "attic" })).status).toBe(200);
    expect(await alice.reached("attic")).toEqual([]);
    expect((await alice.platformCalls("attic")).length).toBe(before);
  });

  it.each([
    ["a name that is taken", { name: "cellar" }, 409],
    ["an invalid name", { name: "ATTIC" }, 400],
    ["no name", {}, 400],
  ])("to %s is refused, and both machines stay unchanged", async (_, body, status) => {
    const alice = new TestUser();
    await alice.machine("attic");
    await alice.machine("cellar");
    expect((await alice.rest("PATCH", "/api/machines/attic", body)).status).toBe(status);
    expect(await names(alice)).toEqual(["attic", "cellar"]);
    expect(await alice.reached("cellar")).toEqual([]);
  });

  it("leaves the machine unchanged and creates no script if the log cannot be moved", async () => {
    const alice = new TestUser();
    await alice.machine("attic", { answers: { "GET /operator/log": { status: 500, body: "broken" } } });
    await alice.script("loft");
    const failed = await alice.rest("PATCH", "/api/machines/attic", { name: "loft" });
    expect([failed.status, await failed.text()]).toEqual([502, expect.stringContaining("it keeps its name")]);
    expect(await names(alice)).toEqual(["attic"]);
    expect((await alice.platformCalls("loft")).at(-1)?.method).toBe("DELETE");
    expect((await alice.reached("attic")).map(({ path }) => path)).not.toContain("/operator/close");
  });
});

describe("upgrading", () => {
  it("replaces a script whose reports are refused since the report secret changed, and no other", async () => {
    const alice = new TestUser();
    await alice.machine("attic");
    await alice.machine("barn");
    const uploads = async (name: string) =>
      (await alice.platformCalls(name)).filter(({ method }) => method === "PUT").length;
    // Scripts that were uploaded with the former secret.
    await alice.report("attic", { online: false, template: "12345678-former" });
    for (const name of ["attic", "barn"]) expect((await alice.report(name, {}, "a former key")).status).toBe(403);
    await expect.poll(() => uploads("attic")).toBe(2);
    expect((await alice.report("attic", {}, "a former key")).status).toBe(403);
    expect([await uploads("attic"), await uploads("barn")]).toEqual([2, 1]);
  });

  it("uploads the current template, with the machine's token, to the machines that have another, and to no other", async () => {
    const alice = new TestUser();
    await alice.machine("attic");
    expect(await (await alice.rest("POST", "/api/machines/attic/upgrade")).json()).toEqual({ upgraded: false });
    const before = await tokenHash(alice, "attic");
    await alice.report("attic", { online: false, template: "an-older-one" });
    expect(await (await alice.rest("POST", "/api/machines/attic/upgrade")).json()).toEqual({ upgraded: true });
    expect(await tokenHash(alice, "attic")).toBe(before);
    expect((await alice.platformCalls("attic")).filter(({ method }) => method === "PUT")).toHaveLength(2);
  });
});

describe("a machine that is set up again", () => {
  const stateOf = (template: string) => {
    const state = {
      online: true,
      epoch: 1,
      connectedAtMs: 1,
      lastSeenMs: 2,
      facts: null,
      position: { epoch: "e", seq: 0 },
    };
    return {
      answers: { "GET /operator/state": { body: JSON.stringify({ ...state, template, exchanges: 0, sessions: [] }) } },
    };
  };
  const uploads = async (user: TestUser): Promise<number> =>
    (await user.platformCalls("attic")).filter(({ method }) => method === "PUT").length;

  it("keeps its script and its link if the script is present and current", async () => {
    const alice = new TestUser();
    await alice.machine("attic", stateOf(scriptVersion(env)));
    expect((await alice.register("attic")).status).toBe(200);
    expect(await uploads(alice)).toBe(1);
    expect((await alice.reached("attic")).map(({ path }) => path)).not.toContain("/operator/close");
  });

  it("gets its script again if the script does not answer or has another version", async () => {
    const alice = new TestUser();
    await alice.machine("attic", stateOf("an-older-one"));
    expect((await alice.register("attic")).status).toBe(200);
    expect(await uploads(alice)).toBe(2);
    await alice.script("attic", { fails: { code: "machine_failed", machine: "attic", reason: "broken" } });
    expect((await alice.register("attic")).status).toBe(200);
    expect(await uploads(alice)).toBe(3);
  });
});

describe("a machine with a script of another version", () => {
  const uploads = async (user: TestUser, name: string): Promise<number> =>
    (await user.platformCalls(name)).filter(({ method }) => method === "PUT").length;

  it("is shown as outdated, and not changed while it is offline", async () => {
    const alice = new TestUser();
    await alice.machine("attic");
    await alice.report("attic", { online: false, template: "an-older-one" });
    const { machines }: { machines: MachineSummary[] } = await alice.json("/api/machines");
    expect(machines).toMatchObject([{ template: "an-older-one", outdated: true }]);
    expect(await uploads(alice, "attic")).toBe(1);
  });

  it("is upgraded automatically when it connects, and only once", async () => {
    const alice = new TestUser();
    await alice.machine("attic");
    await alice.report("attic", { online: true, epoch: 1, template: "an-older-one" });
    await expect.poll(() => alice.json("/api/machines")).toMatchObject({ machines: [{ outdated: false }] });
    expect(await uploads(alice, "attic")).toBe(2);
    await alice.report("attic", { online: true, epoch: 2, template: "an-older-one" });
    // Changes of one machine are made in turn: after a second automatic upgrade this one would find nothing to do.
    expect(await (await alice.rest("POST", "/api/machines/attic/upgrade")).json()).toEqual({ upgraded: true });
    expect(await uploads(alice, "attic")).toBe(3);
  });
});

describe("access to the REST interface:", () => {
  it("it requires a sign-in", async () => {
    for (const [method, path] of [
      ["GET", "/api/machines"],
      ["POST", "/api/machines"],
      ["DELETE", "/api/machines/attic"],
      ["GET", "/api/me"],
      ["GET", "/api/events"],
      ["GET", "/api/nothing"],
    ] as const) {
      const response = await knock(`${ORIGIN}${path}`, { method, headers: { authorization: "Bearer opr_nobody_x" } });
      expect(response.status, path).toBe(401);
      expect(response.headers.get("www-authenticate"), path).toMatch(/^Bearer/);
    }
  });

  it("anyone may ask for Operator's health", async () => {
    const response = await knock(`${ORIGIN}/api/health`, { headers: { authorization: "Bearer wrong" } });
    expect(await response.json()).toEqual({ ok: true, version: TEMPLATE });
  });

  it("users may ask who they are", async () => {
    const alice = new TestUser();
    expect(await alice.json("/api/me")).toMatchObject({ user: alice.id, tag: (await alice.slug("x")).slice(3) });
  });
});

it("an unknown path gets a 404 as JSON", async () => {
  const response = await new TestUser().fetch("/api/nothing");
  expect(response.status).toBe(404);
  expect(await codeOf(response)).toBe("not_found");
});

describe("the list", () => {
  it("comes in pages by name, of which each begins after the last one's cursor", async () => {
    const alice = new TestUser();
    for (const name of ["mini", "attic", "barn"]) await alice.register(name);
    type Page = { machines: MachineSummary[]; cursor?: string };
    const first = await alice.json<Page>("/api/machines?limit=2");
    expect(first.machines.map(({ name }) => name)).toEqual(["attic", "barn"]);
    const second = await alice.json<Page>(`/api/machines?limit=2&cursor=${first.cursor}`);
    expect(second.machines.map(({ name }) => name)).toEqual(["mini"]);
    expect(second).not.toHaveProperty("cursor");
    expect(await names(alice)).toEqual(["attic", "barn", "mini"]);
  });

  it.each(["0", "1001", "-1", "two", ""])("of %s machines a page is refused", async (limit) => {
    const response = await new TestUser().rest("GET", `/api/machines?limit=${limit}`);
    expect(response.status).toBe(400);
    expect(await codeOf(response)).toBe("invalid_request");
  });
});
