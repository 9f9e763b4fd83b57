import { afterEach, describe, expect, test, vi } from "vitest";
import { ask, Client, errorOf, statusWith, Visitor, type Tokens } from "./support/visitor.ts";

const ID = "https://app.test/client.json";
const CALLBACK = "https://app.test/callback";

/** The site that a client's address names, as the internet has it for this test. */
function publish(answer: () => Response | Promise<Response>): void {
  const real = globalThis.fetch;
  vi.spyOn(globalThis, "fetch").mockImplementation((input, init) =>
    new Request(input, init).url.startsWith("https://app.test/") ? Promise.resolve(answer()) : real(input, init),
  );
}

function document(more: object = {}): Response {
  return Response.json({ client_id: ID, client_name: "An app", redirect_uris: [CALLBACK], token_endpoint_auth_method: "none", ...more }); // prettier-ignore
}

afterEach(() => {
  vi.restoreAllMocks();
});

describe("a client with a metadata document (CIMD)", () => {
  test("signs in without registering, and the page shows which site it belongs to", async () => {
    publish(document);
    const person = await Visitor.invited();
    const client = new Client(ID, CALLBACK);
    const page = await (await person.get(client.authorizePath())).text();
    expect(page).toContain('Let <bdi class="named">An app</bdi> in?');
    expect(page).toContain("The site app.test");
    const tokens = await client.signIn(person);
    expect(await statusWith(tokens.access_token)).toBe(200);
    const refreshed: Tokens = await (await client.refresh(tokens.refresh_token)).json();
    expect(await statusWith(refreshed.access_token)).toBe(200);
  });

  test.each([
    ["is of another client", () => document({ client_id: "https://other.test/client.json" })],
    ["lists no such address", () => document({ redirect_uris: ["https://app.test/other"] })],
    ["is not there", () => new Response(null, { status: 404 })],
    ["is no JSON", () => new Response("<html>")],
    ["is as large as a book", () => document({ client_name: "x".repeat(50_000) })],
  ])("is refused when the document %s", async (_, answer) => {
    publish(answer);
    const person = await Visitor.invited();
    const response = await person.get(new Client(`${ID}?${crypto.randomUUID()}`, CALLBACK).authorizePath());
    expect(response.status).toBe(400);
    expect(response.headers.get("location")).toBeNull();
  });

  test.each(["some-app://callback", "https://app;test/callback"])(
    "does not lead a browser to %s with an error, which no code may be sent to",
    async (callback) => {
      const id = `${ID}?${crypto.randomUUID()}`;
      publish(() => document({ client_id: id, redirect_uris: [callback] }));
      const person = await Visitor.invited();
      for (const wrong of [{}, { response_type: "token" }]) {
        const response = await person.get(new Client(id, callback).authorizePath(wrong));
        expect([response.status, response.headers.get("location")]).toEqual([400, null]);
        expect(await response.text()).not.toContain("Go back to the app at");
      }
    },
  );

  const JSON_THERE = { "content-type": "application/json" };

  test.each([
    [
      "redirects to",
      () => new Response("{}", { status: 302, headers: { location: "https://evil.test/client.json", ...JSON_THERE } }),
    ],
    ["shows as text", () => new Response("{}", { headers: { "content-type": "text/plain" } })],
    ["has no more", () => new Response("{}", { status: 404, headers: JSON_THERE })],
  ])("is not taken for an app of a site that %s the document", async (_, atItsSite) => {
    const real = globalThis.fetch;
    vi.spyOn(globalThis, "fetch").mockImplementation((input, init) => {
      const request = new Request(input, init);
      if (!request.url.startsWith("https://app.test/")) return real(request);
      // Whoever follows redirects gets the document of another site.
      return Promise.resolve(request.redirect === "manual" ? atItsSite() : document());
    });
    const page = await (await Visitor.invited()).get(new Client(ID, CALLBACK).authorizePath());
    expect([page.status, await page.text()]).toEqual([400, expect.stringContaining("could not be read")]);
    const body = new URLSearchParams({ client_id: ID });
    expect((await ask("/oauth/device_authorization", { method: "POST", body })).status).toBe(503);
  });

  test("keeps its sign-in while its document cannot be fetched, and is told to retry", async () => {
    let isThere = true;
    const id = `${ID}?${crypto.randomUUID()}`;
    publish(() => (isThere ? document({ client_id: id }) : new Response(null, { status: 502 })));
    const client = new Client(id, CALLBACK);
    const tokens = await client.signIn(await Visitor.invited());
    isThere = false;
    const refused = await client.refresh(tokens.refresh_token);
    expect(refused.status).toBe(503);
    expect(await errorOf(refused)).toBe("temporarily_unavailable");
    isThere = true;
    expect((await client.refresh(tokens.refresh_token)).status).toBe(200);
  });

  test.each([
    "http://app.test/client.json",
    "https://app.test/",
    "https://user@app.test/c.json",
    "https://127.0.0.1/../c.json",
  ])("cannot be identified by %s", async (id) => {
    publish(document);
    const person = await Visitor.invited();
    expect((await person.get(new Client(id, CALLBACK).authorizePath())).status).toBe(400);
  });
});
