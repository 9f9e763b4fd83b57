// Root cause: an id or an address from outside was handed on to what throws for it, and the answer was a 500.
import { createExecutionContext } from "cloudflare:test";
import { afterEach, describe, expect, test, vi } from "vitest";
import { ask, bearer, Client, Visitor } from "../../control-api/sign-in/support/visitor.ts";
import { codeOf, env, TestUser } from "../../control-api/support/operator.ts";
import { gate } from "../../../control-api/src/gate.ts";

const ODD_IDS = [
  "https:", "https://", "https://[", "https://127.0.0.1/client.json", "https://localhost:1/x", "HTTPS://app.test",
  "https://app.test/a b", "x".repeat(600), `https://app.test/${"x".repeat(5_000)}`, "\u0000", "\uD800", "__proto__", "..",
  "client:", "http://app.test/", "javascript:alert(1)", "%", "", " ", "\r\nx: y", "💥",
]; // prettier-ignore

afterEach(() => {
  vi.restoreAllMocks();
});

describe("an invalid client id", () => {
  test.each(ODD_IDS)("%j at the device endpoint is refused", async (id) => {
    const body = new URLSearchParams({ client_id: id });
    const response = await ask("/oauth/device_authorization", { method: "POST", body });
    expect([400, 401, 503]).toContain(response.status);
    expect(await response.json()).toHaveProperty("error");
  });

  test.each(ODD_IDS)("%j in the address to continue to does not prevent the sign-in page from opening", async (id) => {
    const next = `/oauth/authorize?${new URLSearchParams({ client_id: id })}`;
    const response = await ask(`/sign-in?${new URLSearchParams({ next })}`);
    expect(response.status).toBe(200);
  });

  test.each(ODD_IDS)("%j at the token endpoint and the consent page is refused", async (id) => {
    const body = new URLSearchParams({ client_id: id, grant_type: "refresh_token", refresh_token: "a:b:c" });
    expect((await ask("/oauth/token", { method: "POST", body })).status).toBeLessThan(504);
    expect((await ask(new Client(id, "https://app.test/callback").authorizePath())).status).toBeLessThan(500);
  });
});

describe("a host that cannot be part of a URL", () => {
  // A request of workerd's own has the URL that it was asked with; one that a test makes is checked, so only its `url` is exchanged.
  test.each(["http://a:99999/", "http://[::1/mcp", "http://1.2.3.4.5/", "http://a b/", "*", "http:///"])(
    "gets a clear refusal: %s",
    async (url) => {
      const request = new Proxy(new Request("http://127.0.0.1/"), {
        get: (target, key) => (key === "url" ? url : Reflect.get(target, key, target)),
      });
      const response = await gate.fetch(request, env, createExecutionContext());
      expect([response.status, await codeOf(response)]).toEqual([400, "invalid_request"]);
    },
  );
});

describe("an invalid form", () => {
  const FORMS = [
    "/sign-in", "/sign-in/confirm", "/sign-out", "/claim", "/invite", "/pair", "/oauth/authorize", "/account/tokens", "/account/password",
    "/account/browsers", "/account/approvals/attic", "/account/invitations", "/account/people/x", "/account/grants/x",
  ]; // prettier-ignore
  const TYPES = [
    "text/plain", "multipart/form-data", "multipart/form-data; boundary=x", "application/x-www-form-urlencoded; charset=utf-16",
    "application/json",
  ]; // prettier-ignore

  test.each(FORMS)("at %s is refused, from a stranger and from a person who is signed in", async (path) => {
    const person = await Visitor.invited();
    const csrf = await person.csrf("/account");
    for (const visitor of [new Visitor(), person])
      for (const type of TYPES) {
        const { status } = await visitor.post(path, { csrf }, { "content-type": type });
        expect([type, status < 500], `${status}`).toEqual([type, true]);
      }
  });

  test("with a valid token but in JSON changes nothing and causes no fault", async () => {
    const person = await Visitor.invited();
    const body = JSON.stringify({ csrf: await person.csrf("/account"), label: "x", may: "manage" });
    const cookie = Array.from(person.cookies, ([name, value]) => `${name}=${value}`).join("; ");
    const headers = { cookie, "sec-fetch-site": "same-origin", "content-type": "application/json" };
    for (const path of ["/account/tokens", "/account/password", "/account/approvals/attic"])
      expect((await ask(path, { method: "POST", body, headers })).status).toBeLessThan(500);
  });
});

describe("an address to continue to after signing in", () => {
  const ODD = [
    "/account\u00FC", "/account?x=\u4E16", "/pair?code=\uD800", "/account/../\u202E", "/accountant", "/pair//evil.example",
    "/oauth/authorize?client_id=%", "/oauth/authorize?client_id=https%3A", "/account#\u2028", "//evil.example", "/pair\t//evil.example",
    "/account/../oauth/token", "/pairs", "\\\\evil.example",
  ]; // prettier-ignore

  test.each(ODD)("%j leads a person who is signed in to one of our pages", async (next) => {
    const person = await Visitor.invited();
    const response = await person.get(`/sign-in?${new URLSearchParams({ next })}`);
    expect(response.status).toBe(303);
    expect(response.headers.get("location")).toMatch(/^\/(account|pair|oauth\/authorize)?(\?[!-"$-~]*)?(#[!-~]*)?$/);
  });
});

describe("client metadata documents (CIMD), fetched from where a stranger says", () => {
  test("are fetched at a limited rate for one client address, counted over all endpoints", async () => {
    let fetched = 0;
    const real = globalThis.fetch;
    vi.spyOn(globalThis, "fetch").mockImplementation((input, init) => {
      if (!new Request(input, init).url.startsWith("https://victim.test/")) return real(input, init);
      fetched += 1;
      return Promise.resolve(new Response(null, { status: 404 }));
    });
    const headers = { "cf-connecting-ip": "203.0.113.99" };
    const id = () => `https://victim.test/${crypto.randomUUID()}.json`;
    for (let time = 0; time < 30; time += 1) {
      const form = { client_id: id(), grant_type: "refresh_token", refresh_token: "a:b:c" };
      const body = new URLSearchParams(form);
      await ask("/oauth/token", { method: "POST", body, headers });
      await ask(new Client(id(), "https://victim.test/callback").authorizePath(), { headers });
      await ask("/oauth/device_authorization", {
        method: "POST",
        headers,
        body: new URLSearchParams({ client_id: id() }),
      });
      await ask(`/sign-in?${new URLSearchParams({ next: new Client(id(), "https://victim.test/").authorizePath() })}`, { headers }); // prettier-ignore
    }
    expect(fetched).toBeGreaterThan(0);
    // A refused token request looks its client up a second time, to tell a client that is unknown from one out of reach.
    expect(fetched).toBeLessThanOrEqual(120);
  });

  test("whichever way a token request names its client, and with whosever grant", async () => {
    const [person, app] = [await Visitor.invited(), await Client.registered()];
    const { refresh_token: refresh } = await app.signIn(person);
    const fetched = new Set<string>();
    const real = globalThis.fetch;
    vi.spyOn(globalThis, "fetch").mockImplementation((input, init) => {
      const { url } = new Request(input, init);
      if (!url.startsWith("https://victim.test/")) return real(input, init);
      fetched.add(url);
      return Promise.resolve(new Response(null, { status: 404 }));
    });
    const madeUp = { grant_type: "refresh_token", refresh_token: "a:b:c" };
    const part = (json: object) => btoa(JSON.stringify(json)).replaceAll("=", "");
    const signed = (iss: string) => ({
      client_assertion_type: "x",
      client_assertion: `${part({})}.${part({ iss })}.${part({})}`,
    });
    const ways: ((id: string) => [form: Record<string, string>, headers?: Record<string, string>])[] = [
      (id) => [madeUp, { authorization: `Basic ${btoa(`${encodeURIComponent(id)}:secret`)}` }],
      (id) => [madeUp, { authorization: `bAsIc\t${btoa(`${id.replaceAll(":", "%3a")}:`)} ` }],
      (id) => [{ ...madeUp, ...signed(id) }],
      (id) => [{ ...madeUp, ...signed(id), client_id: "" }],
      (id) => [{ ...madeUp, refresh_token: refresh, client_id: id }],
      (id) => [{ token: refresh, client_id: id }],
    ]; // prettier-ignore
    for (const [number, way] of ways.entries()) {
      fetched.clear();
      for (let time = 0; time < 65; time += 1) {
        const [form, more = {}] = way(`https://victim.test/${crypto.randomUUID()}.json`);
        const headers = { "cf-connecting-ip": `203.0.113.${number}`, ...more };
        await ask("/oauth/token", { method: "POST", body: new URLSearchParams(form), headers });
      }
      expect.soft(fetched.size, `way ${number}`).toBe(60);
    }
  });
});

test("a token can be created only for machines that exist", async () => {
  const user = new TestUser();
  await user.machine("attic");
  const make = (machines: string[]) => user.rest("POST", "/api/tokens", { label: "x", machines });
  for (const machines of [["nosuch"], ["attic", "nosuch"]]) {
    const refused = await make(machines);
    expect(refused.status).toBe(404);
    expect(await refused.text()).toContain("nosuch");
  }
  const { token }: { token: string } = await (await make(["attic"])).json();
  expect((await ask("/api/machines", bearer(token))).status).toBe(200);
});
