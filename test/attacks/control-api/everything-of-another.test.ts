// Root cause, of what this keeps out: each route with an id in its path had to look by itself whether what has that id is its caller's. Here every
// route of every method, those that are added later too, is asked with everything that belongs to somebody else.
import { runInDurableObject } from "cloudflare:test";
import { beforeAll, expect, test } from "vitest";
import { app } from "../../../control-api/src/app.ts";
import { asked } from "../../control-api/inbox/support/asking.ts";
import { type Somebody, somebody } from "../../control-api/pages/support/person.ts";
import { Subscribed } from "../../control-api/push/support/subscribed.ts";
import { Client, csrfIn, directory, PASSWORD, Visitor } from "../../control-api/sign-in/support/visitor.ts";
import { deployServer } from "../../control-api/support/deploy-server.ts";
import { TestUser } from "../../control-api/support/operator.ts";
import { Receiver } from "../../control-api/support/receiver.ts";

const MACHINE = "hidden-cellar";
const SERVER = "hidden-server";
const SECRET = "hidden-secret";

type Route = { readonly method: string; readonly path: string };
type Ask = (route: Route, path: string) => Promise<Response>;

/** Every route of the app; middleware has `*` in its path, or all methods. */
const ROUTES: readonly Route[] = [
  ...new Map(
    app.routes
      .filter(({ method, path }) => method !== "ALL" && !path.includes("*"))
      .map(({ method, path }) => [`${method} ${path}`, { method, path }]),
  ).values(),
];
/** Those with an id. What is deployed under another person's name is one's own, so that is asked apart. */
const WITH_ID = ROUTES.filter(
  ({ method, path }) => /\/:(?!file|change)/.test(path) && `${method} ${path}` !== "PUT /api/servers/:name",
);

/** What forms and JSON have, all of it at once: each route takes what it knows. */
const SAID = { name: "renamed", value: "changed", behavior: "deny", text: "go on", approval: "once", allow: "no" }; // prettier-ignore

/** The key of a prompt that waits for Alice's machine. Operator tries it now and then. */
const WAITING = "delivery-of-alice";

let alice: Somebody;
let bob: Somebody;
/** What of Alice's a path can name, by the name that routes have for it. */
let owned: Readonly<Record<string, readonly string[]>>;
/** Others of some kinds, for their owner, who can delete them in two ways. */
let spare: { readonly name: readonly string[]; readonly id: readonly string[] };

beforeAll(async () => {
  alice = await somebody();
  const { user, browser } = alice;
  for (const [name, secret] of [
    [MACHINE, SECRET],
    ["attic", "plain"],
  ] as const) {
    await user.machine(name);
    await user.logs(name, [
      { type: "session.created", session: "s1", data: { slug: "-x", title: secret, cwd: `/${secret}` } },
      asked(`request-of-${name}`, { session: "s1", input: { command: secret } }),
    ]);
  }
  await user.machine("hidden-spare");
  for (const server of [SERVER, SERVER, "hidden-spare-server"]) await deployServer(user, server);
  const { id: push } = await Subscribed.make(alice);
  for (const _ of ["one", "two"]) await (await Client.registered({ client_name: SECRET })).signIn(browser);
  await runInDurableObject(directory(), (_, { storage }) => {
    const row = "INSERT INTO passkey (id, person, public_key, counter, created_ms, name) VALUES (?, ?, x'01', 0, 1, ?)";
    storage.sql.exec(row, `passkey-of-${user.id}`, user.id, SECRET);
  });
  await user.report(MACHINE, { online: false });
  await user.script(MACHINE, { fails: { code: "machine_offline", machine: MACHINE, lastSeenMs: null } });
  const queued = { session_id: `${MACHINE}/s1`, text: SECRET, key: WAITING, on_offline: "queue" };
  expect((await user.tool("send_prompt", queued)).isError).not.toBe(true);
  const made = async (path: string, body: object): Promise<string> =>
    (await (await user.rest("POST", path, body)).json<{ id: string }>()).id;
  const { pending } = await user.json<{ pending: { id: number; machine: string }[] }>("/api/inbox");
  const { grants } = await user.json<{ grants: { id: string }[] }>("/api/grants");
  owned = {
    name: [MACHINE, SERVER],
    machine: [MACHINE, SERVER],
    session: ["s1"],
    secret: ["TOKEN"],
    key: [WAITING],
    id: [
      user.id,
      `passkey-of-${user.id}`,
      await made("/api/tokens", { label: SECRET }),
      await made("/api/keys", { tag: SECRET, ephemeral: true, reusable: true }),
      await made("/api/webhooks", { url: new Receiver().url }),
      push,
      ...pending.filter(({ machine }) => machine === MACHINE).map(({ id }) => String(id)),
      ...grants.slice(1).map(({ id }) => id),
      ...(await directory().sessions(user.id)).map(({ id }) => id),
    ],
  };
  spare = {
    name: ["hidden-spare", "hidden-spare-server"],
    id: [
      await made("/api/tokens", { label: SECRET }),
      await made("/api/webhooks", { url: new Receiver().url }),
      ...grants.slice(0, 1).map(({ id }) => id),
    ],
  };
  bob = await somebody();
  await bob.user.machine("attic");
});

test.each([
  ["another person with a token", async () => withToken(bob.user)],
  ["another person at a browser", async () => atBrowser(bob.browser)],
  ["a token that is limited to another machine", async () => withToken(await tokenOf(alice.user, { machines: ["attic"] }))],
] as const)("%s finds nothing and changes nothing", async (who, caller) => {
  const ask = await caller();
  const before = await stateOfAlice();
  const found: string[] = [];
  for (const route of WITH_ID.filter((one) => isApi(one) === who.includes("token"))) {
    const nothing = await told(await ask(route, pathWith(route, NOBODYS)));
    for (const path of pathsOf(route)) {
      const answer = await told(await ask(route, path));
      if (answer !== nothing || answer.includes("hidden-")) found.push(`${route.method} ${path}: ${answer}`);
    }
  }
  expect(found).toEqual([]);
  expect(await stateOfAlice()).toEqual(before);
}); // prettier-ignore

test("a token that may only read changes nothing", async () => {
  const ask = withToken(await tokenOf(alice.user, { scopes: ["operator:read"] }));
  const before = await stateOfAlice();
  const admitted: string[] = [];
  for (const route of ROUTES)
    if (route.method !== "GET" && isApi(route))
      for (const path of pathsOf(route)) {
        const { status } = await ask(route, path);
        if (status !== 401 && status !== 403) admitted.push(`${route.method} ${path}: ${status}`);
      }
  expect(admitted).toEqual([]);
  expect(await stateOfAlice()).toEqual(before);
});

test("what another person makes under the same names is theirs", async () => {
  const before = await stateOfAlice();
  for (const name of [MACHINE, SERVER]) {
    const same = { name, identity: `identity-of-${MACHINE}`, replace: true, rotate: true };
    expect((await bob.user.rest("POST", "/api/machines", same)).status).toBe(201);
    expect((await bob.user.rest("DELETE", `/api/machines/${name}`)).status).toBe(204);
    expect((await deployServer(bob.user, name)).status).toBe(201);
    expect((await bob.user.rest("DELETE", `/api/servers/${name}`)).status).toBe(204);
  }
  expect(await stateOfAlice()).toEqual(before);
});

/** Those that answer alike whether there is such a thing or not. What they are about is gone in the end, but for the first and the last. */
const ALIKE = [
  "POST /account/people/:id", // only the owner of this Operator may remove people
  "POST /account/grants/:id",
  "POST /account/tokens/:id",
  "POST /account/browsers/:id",
  "POST /account/passkeys/:id/name",
  "POST /notifications/:id/remove",
  "POST /notifications/receivers/:id/remove",
  "GET /sessions/:machine/:session/image", // of a part that its machine names
];

test("their owner reaches something by each of these requests, so each of them could have", async () => {
  const browser = new Visitor();
  await browser.post("/sign-in", { name: alice.browser.name, password: PASSWORD });
  const [atPages, atApi] = [atBrowser(browser), withToken(alice.user)];
  owned = { ...owned, name: [...(owned["name"] ?? []), ...spare.name], id: [...(owned["id"] ?? []), ...spare.id] };
  // What deletes comes last: first one of each kind by the API, and then what is left on pages.
  const rank = (route: Route): number =>
    route.method === "DELETE" ? 1 : /remove|account\/(?!approvals)/.test(route.path) ? 2 : 0;
  const alike: string[] = [];
  for (const route of WITH_ID.toSorted((one, other) => rank(one) - rank(other))) {
    const ask = isApi(route) ? atApi : atPages;
    const nothing = await told(await ask(route, pathWith(route, NOBODYS)));
    let isReached = false;
    for (const path of pathsOf(route)) if (!isReached) isReached = (await told(await ask(route, path))) !== nothing;
    if (!isReached) alike.push(`${route.method} ${route.path}`);
  }
  expect(alike.toSorted()).toEqual(ALIKE.toSorted());
  const { user } = alice;
  const left = await Promise.all(["tokens", "grants", "webhooks"].map((path) => user.json<object>(`/api/${path}`)));
  expect(JSON.stringify(left)).not.toContain(SECRET);
  expect(left[2]).toMatchObject({ subscriptions: [] });
  expect(await directory().sessions(user.id)).toHaveLength(1);
});

function isApi({ path }: Route): boolean {
  return path.startsWith("/api/");
}

async function tokenOf(user: TestUser, limits: object): Promise<TestUser> {
  const response = await user.rest("POST", "/api/tokens", { label: "narrow", ...limits });
  return new TestUser(user.id, (await response.json<{ token: string }>()).token);
}

function withToken(user: TestUser): Ask {
  return ({ method }, path) => user.rest(method, path, method === "GET" ? undefined : SAID);
}

function atBrowser(browser: Visitor): Ask {
  let csrf: string | null = null;
  return async ({ method }, path) => {
    if (method === "GET") return browser.get(path);
    csrf ??= csrfIn(await (await browser.get("/account")).text());
    return browser.post(path, { csrf, ...SAID });
  };
}

const PARAMETER = /:(\w+)(?:\{[^}]*\})?/;

/** Ids that nobody has. */
const NOBODYS = { name: "hidden-nobodys", machine: "hidden-nobodys", session: "s1", secret: "TOKEN", key: "nobodys", id: "98765", change: "back" }; // prettier-ignore

function pathWith({ path }: Route, ids: Readonly<Record<string, string>>): string {
  const [whole, name = ""] = PARAMETER.exec(path) ?? [];
  if (whole === undefined) return path;
  const id = ids[name];
  if (id === undefined) throw new Error(`what of another person can ":${name}" be? Say it above`);
  return pathWith({ method: "", path: path.replace(whole, id) }, ids);
}

/** A route's path with all that it can be about. */
function pathsOf(route: Route): string[] {
  const [, name = "id"] = PARAMETER.exec(route.path) ?? [];
  return (owned[name] ?? [""]).map((value) => pathWith(route, { ...NOBODYS, ...(value !== "" && { [name]: value }) }));
}

/** An answer without the id that was asked for, and without what is new in each answer. */
async function told(response: Response): Promise<string> {
  const isStream = response.headers.get("content-type")?.startsWith("text/event-stream") === true;
  let text = isStream ? "" : await response.text();
  if (isStream) await response.body?.cancel();
  text = `${response.status} ${response.headers.get("location") ?? ""} ${text}`;
  const ids = [...Object.values(owned).flat(), ...Object.values(NOBODYS)].filter((id) => id.length > 4);
  for (const id of ids.toSorted((one, other) => other.length - one.length)) text = text.replaceAll(id, "<id>");
  return text.replaceAll(NEW, "");
}

/** Times, positions in the log, and random values, such as the address that each request of a test comes from. */
const NEW = /<time.*?<\/time>|data-after="[^"]*"|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|(?<=inbox(?:\/|%2F))\d+/g;

const CALLS = ["/mcp", "/operator/call", "/operator/close"];

/** All that Alice has, but not when something of it was last used, nor how often the prompt was tried that waits for her machine. */
async function stateOfAlice(): Promise<unknown> {
  const { user } = alice;
  const paths = ["machines", "tokens", "grants", "keys", "webhooks", "inbox", "deliveries", "servers", "rollout", "history/retention"]; // prettier-ignore
  const state = [
    await Promise.all(paths.map((path) => user.json(`/api/${path}`))),
    await directory().person(user.id),
    await directory().passkeys(user.id),
    (await directory().sessions(user.id)).map(({ id }) => id),
    (await user.reached(MACHINE)).filter(({ path, body }) => CALLS.includes(path) && !body.includes(WAITING)),
    (await user.platformCalls(SERVER)).length,
  ];
  return JSON.parse(
    JSON.stringify(state, (name, value: unknown) =>
      /^(?:used|last\w+)Ms$|^age_ms$|^attempts$/.test(name) ? 0 : value,
    ),
  );
}
