import { evictDurableObject, runInDurableObject } from "cloudflare:test";
import { describe, expect, it, onTestFinished, vi } from "vitest";
import { MAX_SILENT_SWEEPS } from "../../../control-api/src/enrolment/limits.ts";
import type { User } from "../../../control-api/src/user/user.ts";
import { codeOf, env, knock, ORIGIN, TestUser } from "../support/operator.ts";

type Key = { id: string; key: string; tag: string; machines: string[]; used: number };

/** An enrolment key of this user, as a machine would send it: without the address in it. */
async function keyOf(user: TestUser, more: object = {}): Promise<Key> {
  const made = await user.rest("POST", "/api/keys", { tag: "ci", ephemeral: true, reusable: true, ...more });
  if (made.status !== 201) throw new Error(await made.text());
  const { key, ...rest }: Key = await made.json();
  expect(key).toMatch(/^ope_.+@http:\/\/127\.0\.0\.1:8787$/);
  return { ...rest, key: key.replace(/@.*$/, "") };
}

let identities = 0;
const newIdentity = (): string => `identity-of-container-${++identities}`;

function enrol(key: string, identity = newIdentity()): Promise<Response> {
  const headers = { authorization: `Bearer ${key}` };
  return knock(`${ORIGIN}/api/enrolments`, { method: "POST", headers, body: JSON.stringify({ identity }) });
}

function leave(key: string, identity: string): Promise<Response> {
  const headers = { authorization: `Bearer ${key}` };
  return knock(`${ORIGIN}/api/enrolments`, { method: "DELETE", headers, body: JSON.stringify({ identity }) });
}

async function nameOf(answer: Response): Promise<string> {
  const text = await answer.text();
  expect(answer.status, text).toBe(201);
  return (JSON.parse(text) as { name: string }).name;
}

async function names(user: TestUser): Promise<string[]> {
  const { machines } = await user.json<{ machines: { name: string }[] }>("/api/machines");
  return machines.map(({ name }) => name);
}

/** Looks through the enrolled machines now, as the schedule does every minute. */
function sweep(user: TestUser): Promise<void> {
  return runInDurableObject(env.USER.getByName(user.id) as unknown as DurableObjectStub<User>, (object) =>
    object.sweepEnrolled(),
  );
}

describe("an enrolment key", () => {
  it("makes machines without a person, numbered when there are several at once", async () => {
    const user = new TestUser();
    const { key } = await keyOf(user);
    const made = await Promise.all([enrol(key), enrol(key), enrol(key)]);
    expect((await Promise.all(made.map(nameOf))).sort()).toEqual(["ci", "ci-2", "ci-3"]);
    expect(await names(user)).toEqual(["ci", "ci-2", "ci-3"]);
  });

  it("gives a name back when its machine leaves, and what the machine told stays, marked as gone", async () => {
    const user = new TestUser();
    const { key } = await keyOf(user);
    const identity = newIdentity();
    expect(await nameOf(await enrol(key, identity))).toBe("ci");
    await user.logs("ci", [{ type: "session.created", session: "s1", data: { title: "nightly run" } }]);
    expect((await leave(key, identity)).status).toBe(204);
    expect(await names(user)).toEqual([]);
    const { structuredContent } = await user.tool("list_sessions");
    expect(structuredContent?.["sessions"]).toMatchObject([{ title: "nightly run", state: "machine_gone" }]);
    expect(await nameOf(await enrol(key))).toBe("ci");
  });

  it("hands its policy to the machine", async () => {
    const { key } = await keyOf(new TestUser(), { policy: { readOnly: true } });
    expect(await (await enrol(key)).json()).toMatchObject({ policy: { readOnly: true } });
  });

  it("for one machine enrols one, which may come back", async () => {
    const { key } = await keyOf(new TestUser(), { reusable: false });
    const identity = newIdentity();
    expect(await nameOf(await enrol(key, identity))).toBe("ci");
    expect(await nameOf(await enrol(key, identity))).toBe("ci");
    expect(await codeOf(await enrol(key))).toBe("forbidden");
  });

  it("enrols no more machines at once than it allows, and none after it expired", async () => {
    const { key } = await keyOf(new TestUser(), { maxMachines: 1, expiresMs: Date.now() + 60_000 });
    const identity = newIdentity();
    await enrol(key, identity);
    expect(await codeOf(await enrol(key))).toBe("forbidden");
    await leave(key, identity);
    vi.useFakeTimers({ toFake: ["Date"], now: Date.now() + 61_000 });
    onTestFinished(() => void vi.useRealTimers());
    expect(await codeOf(await enrol(key))).toBe("forbidden");
  });

  it("that is revoked enrols nobody, and ends its machines if that is asked", async () => {
    const user = new TestUser();
    const { id, key } = await keyOf(user);
    const other = await keyOf(user, { tag: "nightly" });
    await enrol(key);
    await enrol(other.key);
    expect(await (await user.rest("DELETE", `/api/keys/${id}?machines=true`)).json()).toEqual({ removed: ["ci"] });
    expect((await user.rest("DELETE", `/api/keys/${other.id}`)).status).toBe(200);
    expect(await names(user)).toEqual(["nightly"]);
    expect((await enrol(key)).status).toBe(401);
    expect((await enrol(other.key)).status).toBe(401);
    expect(await user.json("/api/keys")).toEqual({ keys: [] });
  });

  it("is stored as a hash, and opens nothing else", async () => {
    const user = new TestUser();
    const { key } = await keyOf(user);
    const rows = await runInDurableObject(env.USER.getByName(user.id), (_, { storage }) =>
      JSON.stringify(storage.sql.exec("SELECT * FROM enrolment_key").toArray()),
    );
    expect(rows).not.toContain(key.slice(-20));
    const headers = { authorization: `Bearer ${key}` };
    for (const path of ["/api/machines", "/api/keys", "/mcp"])
      expect((await knock(`${ORIGIN}${path}`, { headers }, { LOOPBACK_OWNER: "" })).status, path).toBe(401);
  });

  it("cannot be made by a token that may only call tools, nor by one that a person made long ago", async () => {
    const user = new TestUser();
    const tokenWith = async (scopes: string[]): Promise<TestUser> => {
      const { token }: { token: string } = await (
        await user.rest("POST", "/api/tokens", { label: "t", scopes })
      ).json();
      return new TestUser(user.id, token);
    };
    const body = { tag: "ci", ephemeral: true };
    expect((await (await tokenWith(["mcp:tools"])).rest("POST", "/api/keys", body)).status).toBe(403);
    const admin = await tokenWith(["mcp:tools", "operator:admin"]);
    expect(await codeOf(await admin.rest("POST", "/api/keys", body))).toBe("fresh_sign_in_needed");
  });

  it("enrols nobody as a machine that came without it: it could take that one over, or remove it", async () => {
    const user = new TestUser();
    await user.machine("desk");
    const [one, other] = [await keyOf(user), await keyOf(user, { tag: "other" })];
    const theirs = newIdentity();
    expect(await nameOf(await enrol(one.key, theirs))).toBe("ci");
    for (const identity of ["identity-of-desk", theirs]) {
      expect((await enrol(other.key, identity)).status).toBe(403);
      expect((await enrol(other.key, identity)).status).toBe(403);
    }
    expect((await leave(other.key, "identity-of-desk")).status).toBe(404);
    expect(await names(user)).toEqual(["ci", "desk"]);
  });

  it("ends with the token that made it, and with the one that made that", async () => {
    const user = new TestUser();
    const scopes = ["operator:admin", "operator:tokens"];
    const first = await (
      await user.rest("POST", "/api/tokens", { label: "first", scopes })
    ).json<{ id: string; token: string }>();
    const maker = new TestUser(user.id, first.token);
    const second = await (
      await maker.rest("POST", "/api/tokens", { label: "second", scopes })
    ).json<{ token: string }>();
    const { key } = await keyOf(new TestUser(user.id, second.token));
    expect((await enrol(key)).status).toBe(201);
    await keyOf(maker);
    await user.rest("DELETE", `/api/tokens/${first.id}`);
    expect((await enrol(key)).status).toBe(403);
    expect((await user.json<{ keys: object[] }>("/api/keys")).keys).toHaveLength(1); // is valid for nothing
  });

  it("is not used up by strangers with invalid keys", async () => {
    const user = new TestUser();
    const { key } = await keyOf(user);
    const invalid = `ope_${user.id}_${"x".repeat(43)}`;
    const object = env.USER.getByName(user.id);
    for (let times = 0; times < 300; times += 1) await object.enrol(invalid, { identity: newIdentity() });
    expect((await enrol(key)).status).toBe(201);
  });

  it("enrols no flood of machines", async () => {
    const { key } = await keyOf(new TestUser());
    // The rate's bucket fills up with time, which stands still here.
    vi.useFakeTimers({ toFake: ["Date"], now: Date.now() });
    onTestFinished(() => void vi.useRealTimers());
    const codes = new Set<number>();
    for (let asked = 0; asked < 40; asked += 1) codes.add((await enrol(key)).status);
    expect(codes).toContain(429);
  });
});

describe("an enrolled machine", () => {
  it("is removed after it was silent for a while, and not before", async () => {
    const user = new TestUser();
    const { key } = await keyOf(user);
    await enrol(key);
    await enrol(key);
    await user.register("attic");
    // The script of ci-2 says that it is online, although the list of machines does not.
    await user.script("ci-2", { answers: { "GET /operator/state": { body: await onlineState() } } });
    await user.script("ci", { answers: { "GET /operator/state": { status: 503, body: "" } } });
    for (let sweeps = 1; sweeps < MAX_SILENT_SWEEPS; sweeps += 1) {
      await sweep(user);
      // Nobody asks anything for a minute, so the object does not stay in memory.
      await evictDurableObject(env.USER.getByName(user.id));
    }
    expect(await names(user)).toEqual(["attic", "ci", "ci-2"]);
    await sweep(user);
    expect(await names(user)).toEqual(["attic", "ci-2"]);
  });

  it("is not removed for a silence that it has ended", async () => {
    const user = new TestUser();
    const { key } = await keyOf(user);
    await enrol(key);
    await user.script("ci", { answers: { "GET /operator/state": { status: 503, body: "" } } });
    for (let sweeps = 1; sweeps < MAX_SILENT_SWEEPS; sweeps += 1) await sweep(user);
    await user.report("ci", { online: true, epoch: 1 });
    await sweep(user);
    await user.report("ci", { online: false, epoch: 1 });
    await sweep(user);
    expect(await names(user)).toEqual(["ci"]);
  });
});

async function onlineState(): Promise<string> {
  return JSON.stringify({
    online: true,
    epoch: 1,
    connectedAtMs: 1,
    lastSeenMs: 2,
    facts: null,
    position: { epoch: "e", seq: 0 },
    template: "t1",
    exchanges: 0,
    sessions: [],
  });
}
