// Root cause: a credential was checked when a request began, and what the request made was stored however long after the credential had ended.
// Whoever asked without a pause had something stored in between, such as a token without an end.
import { runInDurableObject } from "cloudflare:test";
import { describe, expect, test, vi } from "vitest";
import { base64Url } from "#protocol/bytes.ts";
import type { RegistrationResponseJSON } from "@simplewebauthn/server";
import { Accounts } from "../../../control-api/src/sign-in/accounts/accounts.ts";
import type { User } from "../../../control-api/src/user/user.ts";
import type { Bearer, Credential } from "../../../control-api/src/http/caller.ts";
import { shownAs } from "../../../control-api/src/http/shown-machine.ts";
import { Store } from "../../../control-api/src/sign-in/oauth/store/store.ts";
import { newPasskey } from "../../control-api/sign-in/support/passkey.ts";
import {
  ask,
  Client,
  directory,
  PASSWORD,
  statusWith,
  type Tokens,
  Visitor,
} from "../../control-api/sign-in/support/visitor.ts";
import { deployment, deployServer, mainModule } from "../../control-api/support/deploy-server.ts";
import { Receiver, SECRET } from "../../control-api/support/receiver.ts";
import { env, knock, ORIGIN, TestUser } from "../../control-api/support/operator.ts";

const ADMIN = { scope: "operator:admin mcp:tools" };
const LIMITS = { scopes: ["mcp:tools"], machines: null, expiresMs: null, callsPerDay: null } as const;
const KEY = { tag: "ci", reusable: true, expiresMs: Date.now() + 3_600_000, maxMachines: 5, policy: null };
const GONE = { code: "unauthorized" };

function objectOf(user: string): DurableObjectStub<User> {
  return env.USER.getByName(user) as unknown as DurableObjectStub<User>;
}

/** Ends what somebody was let in with, for the person's object alone: where they are let in, nobody knows of it yet. */
async function end(user: string, bearer: Bearer): Promise<void> {
  await runInDurableObject(objectOf(user), (_, { storage }) =>
    storage.sql.exec("INSERT INTO ended_grant VALUES (?, ?)", bearer, Date.now()),
  );
}

/** An app of a new person, and what names it: the person's id, and the grant's. */
async function app(): Promise<{ person: Visitor; client: Client; tokens: Tokens; user: string; grant: string }> {
  const [person, client] = [await Visitor.invited(), await Client.registered()];
  const tokens = await client.signIn(person, ADMIN);
  const [user = "", grant = ""] = tokens.access_token.split(":");
  return { person, client, tokens, user, grant };
}

async function idOf({ name }: { name: string }): Promise<string> {
  return (await directory().people()).find((person) => person.name === name)?.id ?? "";
}

/** What is asked of a person's object for a caller who was let in by this credential a moment ago. */
async function makeWith(user: string, credential: Credential): Promise<unknown[]> {
  const object = objectOf(user);
  return [await object.createToken("late", LIMITS, { credential }), await object.createEnrolmentKey(KEY, credential)];
}

describe("what is under way leaves nothing behind", () => {
  test("when the grant of its app is revoked", async () => {
    const { person, user, grant } = await app();
    const other = await app();
    await person.post(`/account/grants/${grant}`, { csrf: await person.csrf("/account") });
    expect(await makeWith(user, `grant:${grant}`)).toEqual([GONE, GONE]);
    expect((await makeWith(other.user, `grant:${other.grant}`)).map((made) => Object.keys(made as object))).toEqual([
      ["token", "record"],
      ["key", "record"],
    ]);
  });

  test("when its app is allowed again, which replaces its grant", async () => {
    const { person, client, user, grant } = await app();
    const again = await client.signIn(person, ADMIN);
    expect(await makeWith(user, `grant:${grant}`)).toEqual([GONE, GONE]);
    const [, now = ""] = again.access_token.split(":");
    expect(await makeWith(user, `grant:${now}`)).not.toContainEqual(GONE);
  });

  test("when its token is revoked, also at the same moment", async () => {
    const user = new TestUser();
    const made = await user.rest("POST", "/api/tokens", { label: "first", scopes: ["operator:admin"] });
    const { id }: { id: string } = await made.json();
    const object = objectOf(user.id);
    // The hash of what is made is computed meanwhile.
    await runInDurableObject(object, async (instance) => {
      const credential = `token:${id}` as const;
      const makes = [
        instance.createToken("late", LIMITS, { credential }),
        instance.createEnrolmentKey(KEY, credential),
      ];
      instance.revokeToken(id);
      await Promise.all(makes);
    });
    expect(await makeWith(user.id, `token:${id}`)).toEqual([GONE, GONE]);
    const { keys } = await user.json<{ keys: object[] }>("/api/keys");
    const { tokens } = await user.json<{ tokens: { label: string }[] }>("/api/tokens");
    expect([keys, tokens.filter(({ label }) => label === "late")]).toEqual([[], []]);
  });

  test("when its enrolment key is revoked together with its machines", async () => {
    const user = new TestUser();
    const made = await user.rest("POST", "/api/keys", { tag: "ci", ephemeral: true, reusable: true });
    const { id, key }: { id: string; key: string } = await made.json();
    const headers = { authorization: `Bearer ${key.replace(/@.*$/, "")}` };
    const body = JSON.stringify({ identity: "identity-of-the-runner" });
    const request = { isAnswered: false };
    const enrolling = knock(`${ORIGIN}/api/enrolments`, { method: "POST", headers, body }).finally(() => {
      request.isAnswered = true;
    });
    await runInDurableObject(objectOf(user.id), async (instance, { storage: { sql } }) => {
      // Its script is being uploaded. Should that be done already, the machine is removed with its key.
      while (!request.isAnswered && sql.exec("SELECT 1 FROM enrolling").toArray().length === 0) await scheduler.wait(1);
      await instance.revokeEnrolmentKey(id, true);
    });
    await (await enrolling).text();
    expect((await user.json<{ machines: object[] }>("/api/machines")).machines).toEqual([]);
  });

  test("when its enrolment key is revoked together with its machines, one of which is just coming back", async () => {
    const user = new TestUser();
    const made = await user.rest("POST", "/api/keys", { tag: "ci", ephemeral: true, reusable: true });
    const { id, key }: { id: string; key: string } = await made.json();
    const [secret, runner] = [key.replace(/@.*$/, ""), { identity: "identity-of-the-runner" }];
    const object = objectOf(user.id);
    expect(await object.enrol(secret, runner)).toMatchObject({ registered: { created: true } });
    const answer = await runInDurableObject(object, (instance) => {
      const register = instance.register.bind(instance);
      // The key was valid when it was looked at, and is revoked before the machine is registered again.
      instance.register = async (...args) => {
        await instance.revokeEnrolmentKey(id, true);
        return register(...args);
      };
      return instance.enrol(secret, runner).finally(() => {
        instance.register = register;
      });
    });
    expect(answer).toEqual(GONE);
    expect((await user.json<{ machines: object[] }>("/api/machines")).machines).toEqual([]);
  });
});

describe("a machine that enrolled, and ends", () => {
  const RUNNER = "identity-of-the-runner";

  /** Has a machine that enrolled as `ci` end while a change of it is under way, which uploads the script of this name. */
  async function endWhile(how: string, name: string, change: (user: TestUser) => Promise<Response>) {
    const user = new TestUser();
    const made = await user.rest("POST", "/api/keys", { tag: "ci", ephemeral: true, reusable: true });
    const { id, key }: { id: string; key: string } = await made.json();
    const object = objectOf(user.id);
    await object.enrol(key.replace(/@.*$/, ""), { identity: RUNNER });
    for (const script of new Set(["ci", name])) await user.script(script);
    let ending: Promise<unknown> = Promise.resolve();
    const changed = await whileUploading(
      await user.slug(name),
      () => change(user),
      async () => {
        ending = how === "it leaves" ? object.leave(RUNNER) : object.revokeEnrolmentKey(id, true);
        await object.machine("ci"); // after that has begun
      },
    );
    expect(changed.status).toBe(200);
    const answer = await ending;
    await object.finishChanges();
    return { answer, machines: (await object.machines()).map((machine) => [machine.name, machine.identity]) };
  }

  test.each([
    ["it leaves", false],
    ["its key is revoked with its machines", { tag: "ci", removed: [] }],
  ])("while another computer takes its name over, does not take that one with it: %s", async (how, answer) => {
    const another = { identity: "identity-of-another", replace: true };
    const ended = await endWhile(how, "ci", (user) => user.register("ci", another));
    expect(ended).toEqual({ answer, machines: [["ci", "identity-of-another"]] });
  });

  test.each([
    ["it leaves", true],
    ["its key is revoked with its machines", { tag: "ci", removed: ["runner"] }],
  ])("while it is renamed, ends under its new name: %s", async (how, answer) => {
    const ended = await endWhile(how, "runner", (user) => user.rest("PATCH", "/api/machines/ci", { name: "runner" }));
    expect(ended).toEqual({ answer, machines: [] });
  });
});

describe("a grant that was revoked while its app redeems a code or refreshes", () => {
  test("cannot be written back, nor can a token of it", async () => {
    const { person, tokens, client, user, grant } = await app();
    const [store, key] = [new Store(env), `grant:${user}:${grant}`];
    const [name = ""] = (await store.list({ prefix: `token:${user}:` })).keys.map((one) => one.name);
    const [read, token] = [String(await store.get(key)), String(await store.get(name))];
    await person.post(`/account/grants/${grant}`, { csrf: await person.csrf("/account") });
    await expect(store.put(key, read)).rejects.toThrow("the grant was deleted");
    await expect(store.put(name, token)).rejects.toThrow("the grant was deleted");
    await store.put(`grant:${user}:another`, read);
    expect(await statusWith(tokens.access_token)).toBe(401);
    expect((await client.refresh(tokens.refresh_token)).status).toBe(400);
  });

  test("takes a token with it that was stored after the library had listed them", async () => {
    const { tokens, user, grant } = await app();
    await new Store(env).delete(`grant:${user}:${grant}`);
    expect(await statusWith(tokens.access_token)).toBe(401);
  });
});

describe("what a browser allowed, and no app has collected", () => {
  const DEVICE = "urn:ietf:params:oauth:grant-type:device_code";

  async function pending(thief: Visitor): Promise<{ collect: () => Promise<number[]> }> {
    const [client, paired] = [await Client.registered(), await Client.registered({}, "http://127.0.0.1/callback")];
    const form = (fields: Record<string, string>) => ({ method: "POST", body: new URLSearchParams(fields) });
    const begun = await ask("/oauth/device_authorization", form({ client_id: paired.id, scope: "operator:admin" }));
    const { device_code, user_code }: { device_code: string; user_code: string } = await begun.json();
    const approved = await thief.post("/pair", { csrf: await thief.csrf("/account"), code: user_code, decision: "allow" }); // prettier-ignore
    expect(await approved.text()).toContain("Approved");
    const code = (await client.consent(thief, ADMIN)).searchParams.get("code") ?? "";
    return {
      collect: async () => [
        (await client.redeem(code)).status,
        (await ask("/oauth/token", form({ grant_type: DEVICE, device_code, client_id: paired.id }))).status,
      ],
    };
  }

  async function withBrowser(): Promise<{ person: Visitor & { name: string }; thief: Visitor }> {
    const [person, thief] = [await Visitor.invited(), new Visitor()];
    await thief.post("/sign-in", { name: person.name, password: "correct horse battery" }, { "user-agent": "Firefox" });
    return { person, thief };
  }

  test.each([
    [
      "everywhere",
      async (person: Visitor) => person.post("/account/browsers", { csrf: await person.csrf("/account") }),
    ],
    [
      "by a new password",
      async (person: Visitor) =>
        person.post("/account/password", {
          csrf: await person.csrf("/account"),
          old: "correct horse battery",
          password: "another horse battery",
        }),
    ],
    [
      "alone",
      async (person: Visitor) => {
        const page = await (await person.get("/account")).text();
        const ids = [...page.matchAll(/action="\/account\/browsers\/(\w+)"/g)].map(([, id = ""]) => id);
        for (const id of ids) await person.post(`/account/browsers/${id}`, { csrf: await person.csrf("/account") });
      },
    ],
    ["by what has no page", async (person: Visitor & { name: string }) => directory().endSessions(await idOf(person))],
  ])(
    "is worth nothing after that browser was signed out %s, but what apps have is, and another person's",
    async (_, signOut) => {
      const { person, thief } = await withBrowser();
      const bystander = await pending(await Visitor.invited());
      const { collect } = await pending(thief);
      const kept = await (await Client.registered()).signIn(thief, ADMIN);
      await signOut(person);
      expect(await collect()).toEqual([400, 400]);
      expect(await statusWith(kept.access_token)).toBe(200);
      expect(await bystander.collect()).toEqual([200, 200]);
    },
  );
});

describe("what a browser allows is worth nothing if it is signed out after its click was let in", () => {
  /** Signs the person out everywhere just before their click gets to this step. */
  function signOutBefore(step: "decideDevice" | "keepClient", user: string) {
    const { [step]: real, endSessions } = Accounts.prototype;
    return vi.spyOn(Accounts.prototype, step).mockImplementation(async function (this: Accounts, ...asked: unknown[]) {
      await endSessions.call(this, user);
      return Reflect.apply(real, this, asked);
    } as never);
  }

  async function grantsIn(user: string): Promise<string[]> {
    return (await new Store(env).list({ prefix: `grant:${user}:` })).keys.map(({ name }) => name);
  }

  test("on the pairing page", async () => {
    const [person, client] = [await Visitor.invited(), await Client.registered({}, "http://127.0.0.1/callback")];
    const form = (fields: Record<string, string>) => ({ method: "POST", body: new URLSearchParams(fields) });
    const begun = await ask("/oauth/device_authorization", form({ client_id: client.id, scope: "operator:admin" }));
    const { device_code, user_code }: { device_code: string; user_code: string } = await begun.json();
    const click = { csrf: await person.csrf("/account"), code: user_code, decision: "allow" };
    const spied = signOutBefore("decideDevice", await idOf(person));
    try {
      expect((await person.post("/pair", click)).headers.get("location")).toBe("/sign-in?next=%2Fpair");
    } finally {
      spied.mockRestore();
    }
    const grant_type = "urn:ietf:params:oauth:grant-type:device_code";
    const collected = await ask("/oauth/token", form({ grant_type, device_code, client_id: client.id }));
    expect(await collected.json()).toMatchObject({ error: "authorization_pending" });
  });

  test("on the consent page", async () => {
    const [person, client] = [await Visitor.invited(), await Client.registered()];
    const user = await idOf(person);
    const path = client.authorizePath();
    const click = { csrf: await person.csrf(path), decision: "allow" };
    const spied = signOutBefore("keepClient", user);
    try {
      expect((await person.post(path, click)).headers.get("location")).toMatch(/^\/sign-in\?next=/);
    } finally {
      spied.mockRestore();
    }
    expect(await grantsIn(user)).toEqual([]);
    const again = new Visitor();
    await again.post("/sign-in", { name: person.name, password: PASSWORD });
    await client.consent(again);
    expect(await grantsIn(user)).toHaveLength(1);
  });
});

/** A program with a token that manages machines, of a person who has others. */
async function program(): Promise<{ person: TestUser; thief: TestUser; id: string; revoke: () => Promise<unknown> }> {
  const person = new TestUser();
  const made = await person.rest("POST", "/api/tokens", { label: "program", scopes: ["operator:admin", "mcp:tools"] });
  const { id, token }: { id: string; token: string } = await made.json();
  const revoke = () => person.rest("DELETE", `/api/tokens/${id}`);
  return { person, thief: new TestUser(person.id, token), id, revoke };
}

/** Begins what sends this to the platform, a script by its slug or what is below one, and does something else while the platform takes its time with it. */
async function whileUploading<Result>(
  path: string,
  begin: () => Promise<Result>,
  meanwhile: () => Promise<unknown>,
): Promise<Result> {
  const real = globalThis.fetch;
  const upload = { isHeld: false, mayGo: false };
  const spied = vi.spyOn(globalThis, "fetch").mockImplementation(async (input, init) => {
    const request = new Request(input, init);
    upload.isHeld ||= request.method === "PUT" && request.url.endsWith(`/scripts/${path}`);
    while (upload.isHeld && !upload.mayGo) await scheduler.wait(1);
    return real(request);
  });
  try {
    const begun = begin();
    await expect.poll(() => upload.isHeld).toBe(true);
    await meanwhile();
    upload.mayGo = true;
    return await begun;
  } finally {
    spied.mockRestore();
  }
}

describe("a change of a machine or server whose upload is under way when its token is revoked", () => {
  const namesOf = async (person: TestUser): Promise<string[]> =>
    (await person.json<{ machines: { name: string }[] }>("/api/machines")).machines.map(({ name }) => name);
  const changesOf = async (person: TestUser, name: string): Promise<string[]> =>
    (await person.platformCalls(name)).map(({ method }) => method).filter((method) => method !== "GET");

  test("adds no machine, and its script is deleted", async () => {
    const { person, thief, revoke } = await program();
    const added = await whileUploading(await person.slug("late"), () => thief.register("late"), revoke);
    expect(added.status).toBe(401);
    expect(await namesOf(person)).toEqual([]);
    expect(await changesOf(person, "late")).toEqual(["PUT", "DELETE"]);
    expect((await person.register("late")).status).toBe(201);
  });

  test("renames none", async () => {
    const { person, thief, revoke } = await program();
    await person.machine("attic");
    await person.script("cellar");
    const rename = () => thief.rest("PATCH", "/api/machines/attic", { name: "cellar" });
    expect((await whileUploading(await person.slug("cellar"), rename, revoke)).status).toBe(401);
    expect(await namesOf(person)).toEqual(["attic"]);
    expect(await changesOf(person, "cellar")).toEqual(["PUT", "DELETE"]);
  });

  test("deploys no server, and no other code or earlier version of one", async () => {
    const { person, thief, revoke } = await program();
    const [one, two] = ["export default { one: 1 };", "export default { two: 2 };"].map((text) => ({ modules: [mainModule(text)] })); // prettier-ignore
    await deployServer(person, "notes", one);
    await deployServer(person, "notes", two);
    const slug = await person.slug("notes");
    const versionOf = async () => (await person.json<{ version: number }>("/api/servers/notes")).version;
    expect((await whileUploading(slug, () => deployServer(thief, "notes", one), revoke)).status).toBe(401);
    expect(await versionOf()).toBe(2);
    const again = await program();
    expect((await whileUploading(await again.person.slug("new"), () => deployServer(again.thief, "new"), again.revoke)).status).toBe(401); // prettier-ignore
    expect(await namesOf(again.person)).toEqual([]);
    // What the platform has is the recorded version again.
    const uploads = (await person.platformCalls("notes")).filter(({ method }) => method === "PUT");
    const versions = uploads.map(({ metadata }) => metadata?.bindings.find(({ name }) => name === "OPERATOR_TEMPLATE"));
    expect(versions).toEqual([versions[0], versions[1], expect.anything(), versions[1]]);
  });

  test("goes back to no earlier version of a server", async () => {
    const { person, thief, revoke } = await program();
    await deployServer(person, "notes");
    await deployServer(person, "notes");
    const back = () => thief.rest("POST", "/api/servers/notes/rollback", {});
    expect((await whileUploading(await person.slug("notes"), back, revoke)).status).toBe(401);
    expect((await person.json<{ version: number }>("/api/servers/notes")).version).toBe(2);
    expect(await changesOf(person, "notes")).toEqual(["PUT", "PUT", "PUT", "PUT"]);
  });

  test("sets no secret of a server", async () => {
    const { person, thief, revoke } = await program();
    await deployServer(person, "notes");
    const path = `${await person.slug("notes")}/secrets`;
    const set = () => thief.rest("PUT", "/api/servers/notes/secrets/KEY", { value: "mine" });
    expect((await whileUploading(path, set, revoke)).status).toBe(401);
    expect(await person.json("/api/servers/notes/secrets")).toEqual({ secrets: [] });
    expect((await person.rest("PUT", "/api/servers/notes/secrets/KEY", { value: "its own" })).ok).toBe(true);
    expect(await person.json("/api/servers/notes/secrets")).toEqual({ secrets: ["KEY"] });
  });

  test("is the last: those that wait for their turn behind it do nothing", async () => {
    const { person, id } = await program();
    await person.machine("attic");
    await deployServer(person, "notes");
    const by = `token:${id}` as const;
    await runInDurableObject(objectOf(person.id), async (instance) => {
      const waiting = [
        instance.rotate("attic", null, by),
        instance.restore("attic", by),
        instance.upgrade("attic", by),
        instance.rename("attic", "cellar", by),
        instance.register({ name: "attic", identity: "identity-of-another", replace: true }, by),
        instance.remove("attic", by),
        instance.setServerSecret("notes", "KEY", "text", by),
        instance.rollBackServer("notes", null, by),
        instance.remove("notes", by),
      ];
      instance.revokeToken(id);
      expect(await Promise.all(waiting)).toEqual(waiting.map(() => GONE));
    });
    expect([await changesOf(person, "attic"), await changesOf(person, "notes")]).toEqual([["PUT"], ["PUT"]]);
    expect(await namesOf(person)).toEqual(["attic", "notes"]);
  });

  test("deploys nothing that arrives after that", async () => {
    const { person, thief, id, revoke } = await program();
    const { headers, body } = await deployment({
      modules: [mainModule(`export default {}; // ${"x".repeat(70_000)}`)],
    });
    const { readable, writable } = new FixedLengthStream(body.byteLength);
    const deploying = thief.fetch("/api/servers/slow", { method: "PUT", headers, body: readable });
    const isLetIn = async () => {
      const { tokens } = await person.json<{ tokens: { id: string; usedMs: number | null }[] }>("/api/tokens");
      return tokens.some((token) => token.id === id && token.usedMs !== null);
    };
    await expect.poll(isLetIn).toBe(true);
    await revoke();
    const writer = writable.getWriter();
    await Promise.all([writer.write(body), writer.close()]);
    expect((await deploying).status).toBe(401);
    // Not even for a moment.
    expect([await namesOf(person), await changesOf(person, "slow")]).toEqual([[], []]);
  });
});

test("every route that changes something says with what its caller was let in", async () => {
  const { tokens, user, grant } = await app();
  const [person, late] = [new TestUser(user), new TestUser(user, tokens.access_token)];
  await person.machine("attic");
  await person.script("cellar");
  await deployServer(person, "notes");
  await deployServer(person, "notes");
  // As if the app had been let in a moment before: its access token is valid still.
  await end(user, `grant:${grant}`);
  const changes = {
    add: () => late.register("late"),
    rename: () => late.rest("PATCH", "/api/machines/attic", { name: "cellar" }),
    rotate: () => late.rest("POST", "/api/machines/attic/token", {}),
    restore: () => late.rest("POST", "/api/machines/attic/restore"),
    upgrade: () => late.rest("POST", "/api/machines/attic/upgrade"),
    remove: () => late.rest("DELETE", "/api/machines/attic"),
    deploy: () => deployServer(late, "notes"),
    "roll back": () => late.rest("POST", "/api/servers/notes/rollback", {}),
    "set a secret": () => late.rest("PUT", "/api/servers/notes/secrets/KEY", { value: "text" }),
    "delete a secret": () => late.rest("DELETE", "/api/servers/notes/secrets/KEY"),
    "delete a server": () => late.rest("DELETE", "/api/servers/notes"),
    "delete it as a machine": () => late.rest("DELETE", "/api/machines/notes"),
    "make a token": () => late.rest("POST", "/api/tokens", { label: "late" }),
    "make a key": () => late.rest("POST", "/api/keys", { tag: "ci", ephemeral: true }),
  };
  const statuses: Record<string, number> = {};
  for (const [name, change] of Object.entries(changes)) statuses[name] = (await change()).status;
  expect(statuses).toEqual(Object.fromEntries(Object.keys(changes).map((name) => [name, 401])));
});

describe("what a browser asks for is not done if it is signed out meanwhile", () => {
  async function browserOf(person: Visitor & { name: string }): Promise<{ user: string; browser: string }> {
    return runInDurableObject(directory(), (accounts: Accounts) => {
      const user = accounts.people().find(({ name }) => name === person.name)?.id ?? "";
      return { user, browser: accounts.sessions(user)[0]?.id ?? "" };
    });
  }

  const site = { id: "localhost", origin: "http://localhost:8787" };

  /** What the browser of somebody answers who adds a passkey. */
  async function passkeyOf(
    accounts: Accounts,
    person: { id: string; name: string },
  ): Promise<RegistrationResponseJSON> {
    const { challenge } = (await accounts.passkeyToAdd(person, site)) as { challenge: string };
    return (await newPasskey(challenge, site.origin)) as RegistrationResponseJSON;
  }

  test("another password, and another passkey", async () => {
    const person = await Visitor.invited();
    const { user, browser } = await browserOf(person);
    await runInDurableObject(directory(), async (accounts: Accounts) => {
      const made = await passkeyOf(accounts, { id: user, name: person.name });
      const changes = [
        accounts.changePassword(user, PASSWORD, "another horse battery", browser, "here"),
        accounts.addPasskey(user, browser, made, site, "a browser"),
      ];
      await accounts.endSessions(user);
      expect(await Promise.all(changes)).toEqual([{ denied: "wrong" }, false]);
      expect(accounts.passkeys(user)).toEqual([]);
    });
    const again = await new Visitor().post("/sign-in", { name: person.name, password: PASSWORD });
    expect(again.headers.get("location")).not.toBeNull();
  });

  test("a passkey is not added for somebody who is being removed, although a session was begun meanwhile", async () => {
    const person = await Visitor.invited();
    const { user, browser } = await browserOf(person);
    await runInDurableObject(directory(), async (accounts: Accounts, { storage }) => {
      const made = await passkeyOf(accounts, { id: user, name: person.name });
      const [row = {}] = storage.sql.exec("SELECT * FROM session WHERE person = ?", user).toArray();
      await accounts.lockOut(user); // the first step
      const places = Object.keys(row).map(() => "?");
      storage.sql.exec(`INSERT INTO session VALUES (${places.join(",")})`, ...Object.values(row));
      expect(await accounts.addPasskey(user, browser, made, site, "a browser")).toBe(false);
      await accounts.forget(user); // the last step
    });
  });

  test("a passkey is added where nobody signs out", async () => {
    const person = await Visitor.invited();
    const { user, browser } = await browserOf(person);
    await runInDurableObject(directory(), async (accounts: Accounts) => {
      const made = await passkeyOf(accounts, { id: user, name: person.name });
      expect(await accounts.addPasskey(user, browser, made, site, "a browser")).toBe(true);
    });
  });

  test("an invitation", async () => {
    await runInDurableObject(directory(), async (accounts: Accounts, { storage }) => {
      const id = crypto.randomUUID().slice(0, 16);
      const row = "INSERT INTO session (hash, person, created_ms, seen_ms) VALUES (?, 'owner', ?, ?)";
      storage.sql.exec(row, `${id}0000`, Date.now(), Date.now());
      const inviting = accounts.invite(id);
      await accounts.endSession("owner", id);
      expect(await inviting).toBeNull();
    });
  });

  test("a token, a permission, and every change of a machine", async () => {
    const person = await Visitor.invited();
    const { user, browser } = await browserOf(person);
    const by = `browser:${browser}` as const;
    const object = objectOf(user);
    await object.register({ name: "attic", identity: "identity-of-attic" }, null);
    const askAll = async () =>
      Promise.all([
        object.createToken("late", LIMITS, { credential: by }),
        object.rename("attic", "cellar", by),
        object.remove("attic", by),
        object.setRemoteApproval("attic", true, by),
        object.setElicitation("attic", true, by),
        object.setPageApproval("attic", "once", true, by),
        object.startRollout({}, by),
        object.changeRollout("pause", by),
        object.setRolloutMode("manual", by),
        object.retain({ days: 1, events: 1_000 }, by),
        object.forget("attic", null, false, by),
      ]);
    await person.post("/account/browsers", { csrf: await person.csrf("/account") });
    expect(await askAll()).toEqual(Array.from({ length: 11 }, () => GONE));
    expect(await object.tokens()).toEqual([]);
  });

  test("on whichever page it asks", async () => {
    const person = await Visitor.invited();
    const { user, browser } = await browserOf(person);
    for (const name of ["attic", "barn"]) await new TestUser(user).machine(name);
    await new TestUser(user).script("cellar");
    // As the pages showed them: it is not for another computer's sake that they are refused.
    const shownOf = (name: string) => shownAs({ name, identity: `identity-of-${name}` });
    const [attic, barn] = [shownOf("attic"), shownOf("barn")];
    await end(user, `browser:${browser}`);
    const csrf = await person.csrf("/account");
    const forms: [path: string, fields: Record<string, string>][] = [
      ["/account/tokens", { label: "late", may: "manage" }],
      ["/account/approvals/attic", { allow: "yes", machine: attic }],
      ["/account/approvals/attic", { ask: "yes", machine: attic }],
      ["/machines/attic/approval", { approval: "once", machine: attic }],
      ["/machines/attic/rotate", { machine: attic }],
      ["/machines/barn/remove", { machine: barn }],
      ["/machines/attic/rename", { name: "cellar", machine: attic }],
      ["/retention", { days: "1", events: "1000", sure: "yes" }],
    ];
    const written = async () => {
      const machines = (await objectOf(user).machines()).map(({ name, linkTokenHash, remoteApproval, elicitation, pageApproval }) => [name, linkTokenHash, remoteApproval, elicitation, pageApproval]); // prettier-ignore
      return JSON.stringify([machines, await objectOf(user).tokens(), await objectOf(user).retention()]);
    };
    const changed: string[] = [];
    for (const [path, fields] of forms) {
      const before = await written();
      expect([path, (await person.post(path, { csrf, ...fields })).status]).not.toEqual([path, 403]); // the form was read
      if ((await written()) !== before) changed.push(`${path} ${Object.keys(fields).join()}`);
    }
    expect(changed).toEqual([]);
  });

  test("a receiver", async () => {
    const person = await Visitor.invited();
    const { user } = await browserOf(person);
    const form = { csrf: await person.csrf("/account"), kind: "webhook", url: new Receiver().url, all: "on" };
    expect((await person.post("/notifications/receivers", form)).status).toBe(200);
    // As if the browser had been signed out since its request was let in.
    const spied = await runInDurableObject(directory(), (accounts: Accounts) =>
      vi.spyOn(Object.getPrototypeOf(accounts) as Accounts, "sessions").mockReturnValue([]),
    );
    try {
      expect((await person.post("/notifications/receivers", form)).status).toBe(400);
    } finally {
      spied.mockRestore();
    }
    expect((await env.WEBHOOKS.getByName(user).overview()).subscriptions).toHaveLength(1);
  });

  test("but a token that was made in it before stays, and so does everything of another browser", async () => {
    const person = await Visitor.invited();
    const { browser: own } = await browserOf(person);
    const other = new Visitor();
    await other.post("/sign-in", { name: person.name, password: PASSWORD });
    const page = await person.post("/account/tokens", { csrf: await person.csrf("/account"), label: "kept", may: "manage" }); // prettier-ignore
    expect(page.status).toBe(200);
    await person.post("/sign-out", { csrf: await person.csrf("/account") });
    const { user } = await browserOf(person);
    expect(await objectOf(user).tokens()).toMatchObject([{ label: "kept" }]);
    expect((await other.get("/account")).status).toBe(200);
    const { browser } = await browserOf(person);
    expect(Object.keys(await objectOf(user).createToken("more", LIMITS, { credential: `browser:${browser}` }))).toContain("token"); // prettier-ignore
    expect(await objectOf(user).createToken("late", LIMITS, { credential: `browser:${own}` })).toEqual(GONE);
  });

  test("a prompt with a photo that arrives after that", async () => {
    const person = await Visitor.invited();
    const csrf = await person.csrf("/account");
    const cookie = Array.from(person.cookies, ([name, value]) => `${name}=${value}`).join("; ");
    const bytes = new TextEncoder().encode(`csrf=${csrf}&text=late&machine=attic&photo=${"x".repeat(2_000_000)}`);
    const { readable, writable } = new FixedLengthStream(bytes.byteLength);
    const headers = { cookie, "content-type": "application/x-www-form-urlencoded", "content-length": String(bytes.byteLength), "sec-fetch-site": "same-origin" }; // prettier-ignore
    const sending = ask("/sessions/new", { method: "POST", headers, body: readable });
    const writer = writable.getWriter();
    await writer.write(bytes.subarray(0, 1_000)); // is read, so the browser was let in
    await person.post("/account/browsers", { csrf });
    await Promise.all([writer.write(bytes.subarray(1_000)), writer.close()]);
    const answer = await sending;
    expect([answer.status, answer.headers.get("location")]).toEqual([303, "/sign-in"]);
  });
});

test("a computer whose app's document is slow gets no tokens if the browser that approved it is signed out meanwhile", async () => {
  const id = `https://app.test/client.json?${crypto.randomUUID()}`;
  const document = { client_id: id, client_name: "An app", redirect_uris: ["http://127.0.0.1/callback"], token_endpoint_auth_method: "none" }; // prettier-ignore
  const [real, site] = [globalThis.fetch, { isSlow: false, isAsked: false }];
  const spied = vi.spyOn(globalThis, "fetch").mockImplementation(async (input, init) => {
    const request = new Request(input, init);
    if (!request.url.startsWith("https://app.test/")) return real(request);
    site.isAsked = site.isSlow;
    while (site.isSlow) await scheduler.wait(1);
    return Response.json(document);
  });
  try {
    const person = await Visitor.invited();
    const pair = async () => {
      const asked = { method: "POST", body: new URLSearchParams({ client_id: id, scope: "operator:admin" }) };
      const begun = await ask("/oauth/device_authorization", asked);
      const { device_code, user_code }: { device_code: string; user_code: string } = await begun.json();
      const csrf = await person.csrf("/account");
      await person.post("/pair", { csrf, code: user_code, decision: "allow" });
      const grant = { grant_type: "urn:ietf:params:oauth:grant-type:device_code", device_code, client_id: id };
      return () => ask("/oauth/token", { method: "POST", body: new URLSearchParams(grant) });
    };
    expect((await (await pair())()).status).toBe(200);
    const collect = await pair();
    site.isSlow = true;
    const collecting = collect();
    await expect.poll(() => site.isAsked).toBe(true);
    await person.post("/account/browsers", { csrf: await person.csrf("/account") });
    site.isSlow = false;
    expect((await collecting).status).toBe(400);
  } finally {
    spied.mockRestore();
  }
});

test.each([
  ["token", async (user: string) => objectOf(user).revokeToken("first"), "token:first"],
  ["app", async (user: string) => objectOf(user).endGrant("first"), "grant:first"],
  ["browser", async (user: string) => objectOf(user).endBrowsers(["first"], true), "browser:first"],
] as const)("a %s that is revoked meanwhile is told no events", async (_, revoke, bearer) => {
  const { id: user } = new TestUser();
  await revoke(user);
  const hooks = env.WEBHOOKS.getByName(user);
  const [receiver, filter] = [new Receiver(), { machine: null, session: null }];
  const person = { user, client: "late", credential: null, kind: "webhook", types: null, filter } as const;
  if (bearer === "browser:first") {
    expect(await hooks.add({ ...person, by: bearer, url: receiver.url })).toEqual(GONE);
    const keys = await browserKeys();
    const push = { user, credential: bearer, browser: "late", endpoint: receiver.url, keys, zone: "Europe/Berlin" };
    expect(await hooks.addPush(push)).toEqual(GONE);
  } else {
    expect(await hooks.add({ ...person, credential: bearer, url: receiver.url })).toEqual(GONE);
    const wanted = { name: "session.failed", arguments: "{}", filter, cursor: null, maxAgeMs: null };
    const subscribing = { ...wanted, user, client: "late", credential: bearer, isTracked: true, url: receiver.url, secret: SECRET }; // prettier-ignore
    expect(await hooks.subscribe(subscribing)).toMatchObject({ error: { code: "forbidden" } });
  }
  expect((await hooks.overview()).subscriptions).toEqual([]);
});

/** The keys of a browser's subscription, as it makes them. */
async function browserKeys(): Promise<{ p256dh: string; auth: string }> {
  const pair = (await crypto.subtle.generateKey({ name: "ECDH", namedCurve: "P-256" }, true, ["deriveBits"])) as CryptoKeyPair; // prettier-ignore
  const key = new Uint8Array((await crypto.subtle.exportKey("raw", pair.publicKey)) as ArrayBuffer);
  return { p256dh: base64Url(key), auth: base64Url(crypto.getRandomValues(new Uint8Array(16))) };
}
