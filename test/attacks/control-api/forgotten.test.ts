// Root cause: history was deleted of "the machine of this name", and a name may have had several computers. A session of a former one
// could not be deleted at all, a machine that had said nothing yet stood for the one before it, the messages that waited for webhooks
// kept what was deleted, also under a machine's former name, and the notices of what had been done could be deleted as the history of the machine "operator".
import { runInDurableObject } from "cloudflare:test";
import { expect, test } from "vitest";
import { env, TestUser } from "../../control-api/support/operator.ts";
import { Receiver } from "../../control-api/support/receiver.ts";
import { whileReading } from "../../control-api/support/while-reading.ts";

const told = (session: string, text: string) => [
  { type: "session.created", session, data: { slug: "-x", title: text } },
  { type: "session.error", session, data: { message: text } },
];

const FORGETS = { answers: { "POST /operator/forget": { status: 204, body: "" } } };

/** A person whose machine "attic" is the second computer of this name. The first one was replaced, or removed. */
async function withFormer(how: "replaced" | "removed", says: boolean): Promise<TestUser> {
  const alice = new TestUser();
  await alice.machine("attic");
  await alice.logs("attic", told("of-former", "first secret"));
  if (how === "removed") await alice.rest("DELETE", "/api/machines/attic");
  await alice.register("attic", { identity: "identity-of-another", replace: true });
  if (says) await alice.logs("attic", [...told("of-former", "first secret"), ...told("of-now", "second secret")].slice(how === "removed" ? 2 : 0), { epoch: how === "removed" ? "f" : "e" }); // prettier-ignore
  await alice.script("attic", FORGETS);
  return alice;
}

async function seen(user: TestUser): Promise<string> {
  const polled = await user.tool("poll_events", { timeout_ms: 0 });
  return JSON.stringify([polled.structuredContent, (await user.tool("list_sessions")).structuredContent]);
}

/** A webhook of theirs whose receiver takes nothing, so that every message to it is kept. */
async function failingWebhook(user: TestUser): Promise<void> {
  const receiver = new Receiver();
  await receiver.plan({ status: 503 });
  expect((await user.rest("POST", "/api/webhooks", { url: receiver.url })).status).toBe(201);
}

async function forget(user: TestUser, query: string): Promise<unknown> {
  const answer = await user.rest("DELETE", `/api/history?${query}`);
  return answer.status === 200 ? answer.json() : answer.status;
}

test.each(["replaced", "removed"] as const)(
  "a name whose former computer was %s means the current machine, and the answer says what is left of the former one",
  async (how) => {
    const alice = await withFormer(how, true);
    expect(await seen(alice)).toContain("second secret");
    expect(await forget(alice, "machine=attic")).toEqual({ events: 2, sessions: 1, former: 3 });
    expect(await seen(alice)).not.toContain("second secret");
    expect(await seen(alice)).toContain("first secret");
    expect(await forget(alice, "machine=attic&former=true")).toEqual({ events: 2, sessions: 1, former: 0 });
    expect(await seen(alice)).not.toContain("secret");
  },
);

test("a machine without events is not mistaken for the one that had its name before", async () => {
  const alice = await withFormer("removed", false);
  expect(await forget(alice, "machine=attic")).toEqual({ events: 0, sessions: 0, former: 3 });
  expect(await seen(alice)).toContain("first secret");
});

test("deleting the history of former computers keeps the current computer's, here and in its script", async () => {
  const alice = await withFormer("replaced", true);
  const before = (await alice.reached("attic")).length;
  expect(await forget(alice, "machine=attic&former=true")).toEqual({ events: 2, sessions: 1, former: 3 });
  expect(await seen(alice)).toContain("second secret");
  expect((await alice.reached("attic")).slice(before)).toEqual([]);
  for (const query of ["machine=attic&former=1", "machine=attic&session=of-now&former=true"])
    expect(await forget(alice, query)).toBe(400);
});

test.each(["replaced", "removed"] as const)(
  "a session of a computer that was %s can be deleted by its handle",
  async (how) => {
    const alice = await withFormer(how, true);
    expect(await forget(alice, "machine=attic&session=of-former")).toEqual({ events: 2, sessions: 1, former: 0 });
    expect(await seen(alice)).not.toContain("first secret");
    expect(await seen(alice)).toContain("second secret");
  },
);

test("messages queued for webhooks and those given up are deleted as well, and no others", async () => {
  const alice = new TestUser();
  for (const name of ["attic", "cellar"]) await alice.machine(name, FORGETS);
  await failingWebhook(alice);
  await alice.logs("attic", [...told("s1", "first secret"), ...told("s2", "second secret")]);
  await alice.logs("cellar", told("s1", "another"));
  for (const name of ["attic", "cellar"]) await alice.script(name, FORGETS);
  const object = env.WEBHOOKS.getByName(alice.id);
  const kept = () => queuedContent(alice);
  await expect.poll(kept).toContain("another");
  await runInDurableObject(object, (_, { storage }) => {
    storage.sql.exec("UPDATE delivery SET dead_ms = 1, fault = 'http_5xx' WHERE id % 2 = 0");
  });
  await forget(alice, "machine=attic&session=s1");
  expect(await kept()).not.toContain("first secret");
  expect(await kept()).toContain("second secret");
  await forget(alice, "machine=attic");
  expect(await kept()).not.toContain("secret");
  expect(await kept()).toContain("another");
  // Of one from before it was noted, nobody knows what it is about.
  await runInDurableObject(object, (_, { storage }) => void storage.sql.exec("UPDATE delivery SET machine = NULL"));
  await forget(alice, "machine=attic");
  expect(await kept()).toBe("[]");
});

test("so are those of a machine from before it was renamed, and none of the machine that has the name now", async () => {
  const alice = new TestUser();
  await alice.machine("attic", FORGETS);
  await failingWebhook(alice);
  await alice.logs("attic", [...told("s1", "first secret"), ...told("s2", "second secret")]);
  await alice.script("loft", FORGETS);
  expect((await alice.rest("PATCH", "/api/machines/attic", { name: "loft" })).status).toBe(200);
  await alice.machine("attic");
  await alice.logs("attic", told("s1", "another"), { epoch: "f" });
  const kept = () => queuedContent(alice);
  await expect.poll(kept).toContain("another");
  expect(await kept()).toContain("first secret");
  await forget(alice, "machine=loft&session=s1");
  expect(await kept()).not.toContain("first secret");
  expect(await kept()).toContain("second secret");
  await forget(alice, "machine=loft");
  expect(await kept()).not.toContain("secret");
  expect(await kept()).toContain("another");
});

test("those of a former computer are found by the name that it had, whatever the next one is renamed to", async () => {
  const alice = new TestUser();
  await alice.machine("attic");
  await failingWebhook(alice);
  await alice.logs("attic", told("s1", "of the former one"));
  await alice.register("attic", { identity: "identity-of-another", replace: true });
  await alice.logs("attic", [...told("s1", ""), ...told("s2", "of the next one")]);
  const queued = () => queuedContent(alice);
  await expect.poll(queued).toContain("of the next one");
  for (const name of ["attic", "loft"]) await alice.script(name, FORGETS);
  expect((await alice.rest("PATCH", "/api/machines/attic", { name: "loft" })).status).toBe(200);
  await expect.poll(() => queuedAbout(alice)).toEqual(["attic", "loft"]);
  await forget(alice, "machine=attic");
  expect(await queued()).toContain("of the next one");
  expect(await queued()).not.toContain("of the former one");
});

/** What the queue holds of messages, as JSON. */
function queuedContent(user: TestUser): Promise<string> {
  return runInDurableObject(env.WEBHOOKS.getByName(user.id), (_, { storage }) =>
    JSON.stringify(storage.sql.exec("SELECT content FROM delivery").toArray()),
  );
}

/** The names under which messages in the queue are found. */
function queuedAbout(user: TestUser): Promise<string[]> {
  return runInDurableObject(env.WEBHOOKS.getByName(user.id), (_, { storage }) =>
    storage.sql
      .exec<{ machine: string }>("SELECT DISTINCT machine FROM delivery ORDER BY machine")
      .toArray()
      .map(({ machine }) => machine),
  );
}

test.each([
  ["machine=attic", "first secret", "second secret"],
  ["machine=attic&former=true", "second secret", "first secret"],
])(
  "of messages about two computers of one name, %s deletes those of the computer that it means",
  async (query, kept, deleted) => {
    const alice = new TestUser();
    await alice.machine("attic");
    await failingWebhook(alice);
    await alice.logs("attic", told("s1", "first secret"));
    await alice.register("attic", { identity: "identity-of-another", replace: true });
    await alice.logs("attic", [...told("s1", "first secret"), ...told("s2", "second secret")]);
    await alice.script("attic", FORGETS);
    const queued = () => queuedContent(alice);
    await expect.poll(queued).toContain("second secret");
    expect(await queued()).toContain("first secret");
    await forget(alice, query);
    expect(await queued()).toContain(kept);
    expect(await queued()).not.toContain(deleted);
  },
);

test("a message is forgotten that is put into the queue meanwhile", async () => {
  const alice = new TestUser();
  await alice.machine("attic");
  await failingWebhook(alice);
  const object = env.WEBHOOKS.getByName(alice.id);
  const report = () => alice.logs("attic", told("s1", "first secret"));
  await whileReading(
    alice.id,
    async () => {
      await report();
      await object.wake(false);
    },
    async () => object.forget("attic", null, ["identity-of-attic"]),
  );
  const queued = await runInDurableObject(object, (_, { storage }) =>
    storage.sql.exec("SELECT content FROM delivery").toArray(),
  );
  expect(queued).toEqual([]);
});

test("a message that is nested deeper than SQLite reads JSON keeps no other one", async () => {
  const alice = new TestUser();
  await alice.machine("attic", FORGETS);
  await failingWebhook(alice);
  const asked = { request_id: "r", tool: "Bash", input: "first secret" };
  await alice.logs("attic", [{ type: "permission.requested", session: "s1", data: asked }, ...told("s2", "second secret")]); // prettier-ignore
  await alice.script("attic", FORGETS);
  const object = env.WEBHOOKS.getByName(alice.id);
  const kept = () => queuedContent(alice);
  await expect.poll(kept).toContain("second secret");
  // As a version stored it that kept events of any depth.
  const deep = `${"[".repeat(1_500)}"first secret"${"]".repeat(1_500)}`;
  await runInDurableObject(object, (_, { storage }) => {
    const nested =
      "UPDATE delivery SET content = replace(content, '\"first secret\"', ?) WHERE content LIKE '%first secret%'";
    expect(storage.sql.exec(nested, deep).rowsWritten).toBeGreaterThan(0);
  });
  expect(await kept()).toContain("first secret");
  expect(await forget(alice, "machine=attic&session=s1")).toMatchObject({ events: 1 });
  expect(await kept()).not.toContain("first secret");
  expect(await kept()).toContain("second secret");
  await forget(alice, "machine=attic");
  expect(await kept()).not.toContain("secret");
});

test("notices stay, because they are the record of what was done", async () => {
  const alice = new TestUser();
  await alice.machine("attic");
  const read = async () => (await alice.tool("poll_events", { type: "notice.*", timeout_ms: 0 })).structuredContent;
  await expect.poll(async () => JSON.stringify(await read())).toContain("notice.machine_added");
  expect(await forget(alice, "machine=operator")).toBe(404);
  expect(await forget(alice, "machine=operator&former=true")).toBe(404);
  expect(JSON.stringify(await read())).toContain("notice.machine_added");
});
