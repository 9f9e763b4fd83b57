import { describe, expect, test } from "vitest";
import { knock, ORIGIN } from "../support/operator.ts";
import { ask } from "./support/visitor.ts";

const MACHINE = "http://attic.localhost:8787";

async function metadata(path: string, origin = ORIGIN): Promise<Record<string, unknown>> {
  return (await ask(`/.well-known/oauth-protected-resource${path}`, {}, origin)).json();
}

describe("a 401", () => {
  test.each([
    ["the apex", ORIGIN, "/mcp", "/mcp"],
    ["a machine's host", MACHINE, "/mcp", "/mcp"],
    ["a machine's path", ORIGIN, "/m/attic/mcp", "/m/attic/mcp"],
    ["the REST surface", ORIGIN, "/api/machines", "/mcp"],
  ])("of %s names that resource's own metadata and the scope to ask for", async (_, origin, path, resource) => {
    const response = await ask(path, { method: "POST", body: "{}" }, origin);
    expect(response.status).toBe(401);
    const url = `${origin}/.well-known/oauth-protected-resource${resource}`;
    expect(response.headers.get("www-authenticate")).toBe(`Bearer resource_metadata="${url}", scope="mcp:tools"`);
    expect((await ask(new URL(url).pathname, {}, origin)).status).toBe(200);
  });

  test("for an invalid token says that the token is invalid", async () => {
    const response = await ask("/mcp", { headers: { authorization: "Bearer nonsense" } });
    expect(response.headers.get("www-authenticate")).toContain('error="invalid_token"');
  });
});

describe("protected resource metadata", () => {
  test("names the resource at whose address it was found", async () => {
    expect((await metadata("/mcp"))["resource"]).toBe(`${ORIGIN}/mcp`);
    expect((await metadata(""))["resource"]).toBe(ORIGIN);
    expect((await metadata("/m/attic/mcp"))["resource"]).toBe(`${ORIGIN}/m/attic/mcp`);
    expect((await metadata("/mcp", MACHINE))["resource"]).toBe(`${MACHINE}/mcp`);
    expect((await metadata("/mcp"))["authorization_servers"]).toEqual([ORIGIN]);
  });

  test("does not reveal which machines exist", async () => {
    const one = JSON.stringify(await metadata("/mcp", MACHINE));
    const other = JSON.stringify(await metadata("/mcp", "http://nosuch.localhost:8787"));
    expect(other).toBe(one.replace("attic", "nosuch"));
  });

  test.each(["/nothing", "/m/UPPER/mcp", "/m/attic", "/mcp/"])("does not exist for %s", async (path) => {
    expect((await ask(`/.well-known/oauth-protected-resource${path}`)).status).toBe(404);
  });

  test("may be read by a page of any site", async () => {
    const response = await ask("/.well-known/oauth-protected-resource/mcp", {
      headers: { origin: "https://app.test" },
    });
    expect(response.headers.get("access-control-allow-origin")).toBe("*");
  });

  test("points to MCPAuthKit when that is the issuer, and our own server does not exist", async () => {
    const more = { AUTHKIT_URL: "https://auth.test", LOOPBACK_OWNER: "" };
    const response = await knock(`${ORIGIN}/.well-known/oauth-protected-resource/mcp`, {}, more);
    const document: Record<string, unknown> = await response.json();
    expect(document["authorization_servers"]).toEqual(["https://auth.test"]);
    for (const path of ["/.well-known/oauth-authorization-server", "/oauth/authorize", "/sign-in", "/pair"])
      expect((await knock(`${ORIGIN}${path}`, {}, more)).status).toBe(404);
  });
});

test("authorization server metadata offers only S256, both ways to register, device codes, and the issuer in answers", async () => {
  const document: Record<string, unknown> = await (await ask("/.well-known/oauth-authorization-server")).json();
  expect(document).toMatchObject({
    issuer: ORIGIN,
    authorization_endpoint: `${ORIGIN}/oauth/authorize`,
    token_endpoint: `${ORIGIN}/oauth/token`,
    registration_endpoint: `${ORIGIN}/oauth/register`,
    device_authorization_endpoint: `${ORIGIN}/oauth/device_authorization`,
    code_challenge_methods_supported: ["S256"],
    response_types_supported: ["code"],
    authorization_response_iss_parameter_supported: true,
    client_id_metadata_document_supported: true,
  });
});
