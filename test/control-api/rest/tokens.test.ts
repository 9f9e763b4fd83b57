import { afterEach, describe, expect, test, vi } from "vitest";
import { ask, bearer, Client, statusWith, Visitor } from "../sign-in/support/visitor.ts";
import { env, TestUser } from "../support/operator.ts";

type Created = { id: string; token: string; scopes: string[]; machines: string[] | null; error?: { code: string } };

async function create(user: TestUser, body: object): Promise<Created & { status: number }> {
  const response = await user.rest("POST", "/api/tokens", { label: "test", ...body });
  return { status: response.status, ...(await response.json<Created>()) };
}

afterEach(() => vi.restoreAllMocks());

describe("a personal access token", () => {
  test("does everything that its creator may do, until it is revoked", async () => {
    const user = new TestUser();
    const { token, id } = await create(user, {});
    expect(await statusWith(token)).toBe(200);
    expect(await statusWith(token, "/api/tokens")).toBe(200);
    expect((await user.rest("DELETE", `/api/tokens/${id}`)).status).toBe(204);
    expect(await statusWith(token)).toBe(401);
  });

  test("is shown once, and stored as a hash", async () => {
    const user = new TestUser();
    const { token } = await create(user, {});
    expect(JSON.stringify(await user.json("/api/tokens"))).not.toContain(token.slice(-20));
  });

  test("may be limited to reading", async () => {
    const user = new TestUser();
    const { token } = await create(user, { scopes: ["operator:read"] });
    expect(await statusWith(token)).toBe(200);
    expect(await statusWith(token, "/api/audit")).toBe(403);
    expect(await statusWith(token, `/m/${await user.slug("attic")}/mcp`)).toBe(403);
    expect((await ask("/api/tokens", { method: "POST", body: '{"label":"more"}', ...bearer(token) })).status).toBe(403);
  });

  test("may be limited to some machines and does not show others", async () => {
    const user = new TestUser();
    await user.machine("attic");
    await user.machine("cellar");
    const { token } = await create(user, { machines: ["attic"] });
    const list: { machines: { name: string }[] } = await (await ask("/api/machines", bearer(token))).json();
    expect(list.machines.map(({ name }) => name)).toEqual(["attic"]);
    expect(await statusWith(token, "/api/machines/cellar")).toBe(404);
    expect(await statusWith(token, `/m/${await user.slug("attic")}/mcp`)).toBe(200);
    expect(await statusWith(token, `/m/${await user.slug("cellar")}/mcp`)).toBe(404);
    expect(await statusWith(token, "/api/events?machine=cellar")).toBe(404);
    expect((await create(user, { machines: ["attic"], scopes: ["operator:admin"] })).status).toBe(400);
  });

  test("expires at its set time", async () => {
    const user = new TestUser();
    expect((await create(user, { expiresMs: Date.now() - 1 })).status).toBe(400);
    const expiresMs = Date.now() + 60_000;
    const { token } = await create(user, { expiresMs });
    expect(await statusWith(token)).toBe(200);
    vi.spyOn(Date, "now").mockReturnValue(expiresMs);
    expect(await statusWith(token)).toBe(401);
  });

  test("gives no more rights than its creator has", async () => {
    const visitor = await Visitor.invited();
    const { access_token: admin } = await (await Client.registered()).signIn(visitor, { scope: "operator:admin" });
    const make = (scopes: string[]) =>
      ask("/api/tokens", { method: "POST", body: JSON.stringify({ label: "x", scopes }), ...bearer(admin) });
    expect((await make(["mcp:tools"])).status).toBe(403);
    expect((await make(["operator:read"])).status).toBe(201);
  });

  test("of one user cannot be seen or revoked by others", async () => {
    const user = new TestUser();
    const other = new TestUser();
    const { id, token } = await create(user, {});
    expect(await other.json("/api/tokens")).toEqual({ tokens: [] });
    expect((await other.rest("DELETE", `/api/tokens/${id}`)).status).toBe(404);
    expect(await statusWith(token)).toBe(200);
    const forged = token.replace(user.id, other.id);
    expect(await statusWith(forged)).toBe(401);
  });
});

test("the audit log records who called what with what outcome, and no arguments", async () => {
  const user = new TestUser();
  await user.machine("attic");
  await user.tool("call_tool", { machineId: "attic", name: "echo", arguments: { text: "very secret" } });
  await user.tool("get_machine", { machineId: "nosuch" });
  const direct = JSON.stringify({ jsonrpc: "2.0", id: 1, method: "tools/call", params: { name: "echo", arguments: { b: 1, a: "also secret" } } }); // prettier-ignore
  const headers = { "content-type": "application/json", "content-length": String(direct.length) };
  await user.fetch(`/m/${await user.slug("attic")}/mcp`, { method: "POST", body: direct, headers });
  const read = async () => (await user.json<{ entries: Record<string, unknown>[] }>("/api/audit")).entries;
  await expect.poll(read).toHaveLength(4); // entries are written after the answer
  const entries = await read();
  const line = (kind: string, subject: string | null) =>
    entries.find((one) => one["kind"] === kind && one["subject"] === subject);
  expect(line("machine_added", null)).toMatchObject({ machine: "attic", outcome: "ok", client: "loopback" });
  expect(line("call", "call_tool")).toMatchObject({ machine: "attic", outcome: "ok" });
  expect(line("call", "get_machine")).toMatchObject({ machine: "nosuch", outcome: "machine_unknown" });
  expect(line("call", "echo")).toMatchObject({ machine: "attic", outcome: "ok" });
  expect(line("call", "echo")?.["digest"]).toMatch(/^[0-9a-f]{64}$/);
  expect(JSON.stringify(entries)).not.toContain("secret");
  expect(entries.every((one) => typeof one["atMs"] === "number")).toBe(true);

  const lines = (await (await user.fetch("/api/audit?format=jsonl")).text()).trim().split("\n");
  expect(lines.map((one) => JSON.parse(one))).toEqual(entries);
  expect(await new TestUser().json("/api/audit")).toEqual({ entries: [] });
  const [newest] = entries;
  const { entries: older }: { entries: unknown[] } = await user.json(`/api/audit?before=${newest?.["id"]}&limit=1`);
  expect(older).toEqual([entries[1]]);
});

test("the audit log records every change by a program, and none that was refused", async () => {
  const user = new TestUser();
  const made = async (path: string, body: object) => (await (await user.rest("POST", path, body)).json<Created>()).id;
  await user.machine("attic", { log: { epoch: "e1", events: [] } });
  await user.script("cellar");
  const token = await made("/api/tokens", { label: "ci" });
  const key = await made("/api/keys", { tag: "build", ephemeral: true });
  const answers = [
    await user.rest("DELETE", `/api/tokens/${token}`),
    await user.rest("DELETE", `/api/keys/${key}`),
    await user.rest("POST", "/api/machines/attic/token"),
    await user.rest("PATCH", "/api/machines/attic", { name: "cellar" }),
    await user.rest("PUT", "/api/history/retention", { days: 30, events: 10_000 }),
    await user.rest("PUT", "/api/rollout/mode", { mode: "manual" }),
    await user.rest("DELETE", "/api/machines/cellar"),
    // Once more, which changes nothing.
    await user.rest("DELETE", `/api/tokens/${token}`),
    await user.rest("DELETE", "/api/machines/cellar"),
  ];
  expect(answers.map(({ status }) => status)).toEqual([204, 200, 200, 200, 200, 200, 204, 404, 404]);
  const changes = async (): Promise<string[]> => {
    const { entries } = await user.json<{ entries: Record<string, unknown>[] }>("/api/audit");
    return entries.map(({ kind, machine, subject }) => `${kind} ${machine} ${subject}`).toSorted();
  };
  await expect
    .poll(changes)
    .toEqual([
      "machine_added attic null",
      "machine_changed attic renamed to cellar",
      "machine_changed attic token rotated",
      "machine_changed null events are kept for 30 days, at most 10000",
      "machine_changed null rollouts are manual",
      "machine_removed cellar null",
      "token_created null ci",
      "token_created null enrolment key for build",
      "token_revoked null ci",
      "token_revoked null enrolment key for build",
    ]);
});

test("the audit log drops old entries", async () => {
  const user = new TestUser();
  const old = { atMs: Date.now() - 100 * 24 * 60 * 60_000, kind: "call", client: "x", machine: null, subject: "old", digest: null, outcome: "ok", durationMs: 1 } as const; // prettier-ignore
  await env.USER.getByName(user.id).audit([old, { ...old, atMs: Date.now(), subject: "new" }]);
  const { entries }: { entries: { subject: string }[] } = await user.json("/api/audit");
  expect(entries.map(({ subject }) => subject)).toEqual(["new"]);
});
