/**
 * Root cause: the scope that a request needs was decided by a string of its path, while the router that answered decoded
 * the path first: `/api/%61udit` needed the scope of an unknown path and was answered as `/api/audit`.
 */
import { describe, expect, it } from "vitest";
import { app } from "../../../control-api/src/app.ts";
import { acting, administering, reading } from "../../../control-api/src/http/needs.ts";
import { ask, bearer, statusWith } from "../../control-api/sign-in/support/visitor.ts";
import { env, TestUser } from "../../control-api/support/operator.ts";

async function tokenOf(user: TestUser, limits: object): Promise<string> {
  const response = await user.rest("POST", "/api/tokens", { label: "narrow", ...limits });
  const { token }: { token: string } = await response.json();
  return token;
}

/** Ways to write a path that a router may take for the same. */
function spellings(path: string): string[] {
  const [, , last = ""] = path.split("/");
  const encoded = (text: string) => `%${text.codePointAt(0)?.toString(16)}${text.slice(1)}`;
  const double = (text: string) => `%25${text.codePointAt(0)?.toString(16)}${text.slice(1)}`;
  return [
    path,
    `/api/${encoded(last)}`,
    `/${encoded("api")}/${last}`,
    `/${encoded("api")}/${encoded(last)}`,
    `/api/${double(last)}`,
    `/api/${last.toUpperCase()}`,
    `/API/${last}`,
    `//api/${last}`,
    `/api//${last}`,
    `/api/./${last}`,
    `/api/%2e/${last}`,
    `/api/machines/../${last}`,
    `/api/machines/%2e%2e/${last}`,
    `/api/machines/..%2f${last}`,
    `/api/${last}/`,
    `/api/${last}/.`,
    `/api/${last}?x=/api/me`,
    `/api/${last};x=1`,
    `/api/${last}%00`,
    `/api/${last}%20`,
    `/api/${last}%2f`,
    `/api%2f${last}`,
    `/x/../api/${last}`,
    `/api\\${last}`,
  ];
}

describe.each([
  ["reading one machine", { machines: ["attic"], scopes: ["operator:read"] }],
  ["acting on one machine", { machines: ["attic"] }],
  ["reading", { scopes: ["operator:read"] }],
  ["acting", { scopes: ["mcp:tools"] }],
])("a token for %s", (_what, limits) => {
  it.each(["/api/audit", "/api/tokens", "/api/grants"])(
    "cannot reach %s, however the path is written",
    async (path) => {
      const user = new TestUser();
      await user.machine("attic");
      await user.machine("secret-cellar");
      const token = await tokenOf(user, limits);
      for (const spelling of spellings(path)) {
        const response = await ask(spelling, bearer(token));
        expect([spelling, [401, 403, 404].includes(response.status)]).toEqual([spelling, true]);
        expect(await response.text()).not.toMatch(/secret-cellar|entries|"tokens"|"grants"/);
      }
    },
  );

  it("changes nothing, however the path is written", async () => {
    const user = new TestUser();
    await user.machine("attic");
    const token = await tokenOf(user, limits);
    // When it was last used changes with each use, and is left out.
    const tokens = async (): Promise<string> =>
      JSON.stringify(await user.json("/api/tokens")).replaceAll(/"usedMs":(?:\d+|null)/g, "");
    const before = await tokens();
    for (const path of [
      "/api/machines/attic",
      "/api/%6dachines/attic",
      "/%61pi/machines/attic",
      "/api/machines/%61ttic",
    ])
      for (const method of ["DELETE", "PATCH", "PUT", "POST"]) {
        const response = await ask(path, { method, ...bearer(token), body: '{"name":"taken"}' });
        expect([path, method, [403, 404].includes(response.status)]).toEqual([path, method, true]);
      }
    for (const spelling of spellings("/api/tokens")) {
      const body = JSON.stringify({ label: "more", scopes: ["operator:read"] });
      const { status } = await ask(spelling, { method: "POST", ...bearer(token), body });
      expect([spelling, [403, 404].includes(status)]).toEqual([spelling, true]);
    }
    expect(await tokens()).toBe(before);
    const { machines }: { machines: { name: string }[] } = await user.json("/api/machines");
    expect(machines.map(({ name }) => name)).toEqual(["attic"]);
  });
});

it("a token for reading reaches nothing at a machine's own address, since nobody knows which of its tools only read", async () => {
  const user = new TestUser();
  await user.machine("attic");
  const token = await tokenOf(user, { scopes: ["operator:read"] });
  for (const method of ["GET", "DELETE", "POST"]) {
    const init = {
      method,
      ...bearer(token),
      ...(method === "POST" && { body: '{"jsonrpc":"2.0","id":1,"method":"ping"}' }),
    };
    expect([method, (await ask(`/m/${await user.slug("attic")}/mcp`, init)).status]).toEqual([method, 403]);
  }
  expect(await user.reached("attic")).toEqual([]);
});

it("a token for one machine sees only that machine's data, and no other machine's name", async () => {
  const user = new TestUser();
  await user.machine("attic");
  await user.logs("attic", [{ seq: 1, data: "of attic" }]);
  await user.machine("cellar");
  await user.logs("cellar", [{ seq: 1, data: "of cellar" }]);
  const token = await tokenOf(user, { machines: ["attic"] });
  for (const path of ["/api/me", "/api/machines", "/api/machines/attic", "/api/audit", "/api/tokens", "/api/grants"])
    expect(await (await ask(path, bearer(token))).text()).not.toContain("cellar");
  for (const path of ["/api/machines/cellar", "/api/events?machine=cellar", `/m/${await user.slug("cellar")}/mcp`])
    expect([path, (await ask(path, bearer(token))).status]).toEqual([path, 404]);
});

it("a token that is limited to a machine administers nothing, whatever its scopes are", async () => {
  const user = new TestUser();
  await user.machine("attic");
  // No route makes one.
  const limits = { scopes: ["operator:admin"], machines: ["attic"], expiresMs: null, callsPerDay: null } as const;
  const made = await env.USER.getByName(user.id).createToken("odd", limits, { credential: null });
  const token = "token" in made ? made.token : "";
  expect(await statusWith(token, "/api/machines")).toBe(200);
  for (const path of ["/api/tokens", "/api/audit", "/api/grants"]) expect(await statusWith(token, path)).toBe(403);
  const removed = await ask("/api/machines/attic", { method: "DELETE", ...bearer(token) });
  expect(removed.status).toBe(403);
});

it("every REST route that needs a sign-in declares its scope", () => {
  // The last is for machines, which show an enrolment key of their own kind (rest/keys.test.ts).
  const open = new Set(["/api/health", "/api/claim", "/api/local", "/api/enrolments"]);
  const routes = app.routes.filter(
    ({ path, method }) => path.startsWith("/api/") && method !== "ALL" && !open.has(path),
  );
  const scoped = app.routes.filter(
    ({ handler }) => handler === reading || handler === acting || handler === administering,
  );
  const key = ({ method, path }: { method: string; path: string }) => `${method} ${path}`;
  expect(routes.length).toBeGreaterThan(10);
  expect(routes.filter((route) => !scoped.some((one) => key(one) === key(route))).map(key)).toEqual([]);
});
