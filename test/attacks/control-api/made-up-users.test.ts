// Root cause: a token and an enrolment key name their user, and that user's object was asked whether they are valid. An object exists from
// the moment in which it is asked, with its tables on the disk, and a new one asks Cloudflare's API for its machines: strangers who made up
// users could fill the disk (400 KB a request), and use up the API's rate.
import { listDurableObjectIds } from "cloudflare:test";
import { expect, onTestFinished, test, vi } from "vitest";
import { randomSecret } from "#protocol/bytes.ts";
import { accountsOf } from "../../../control-api/src/sign-in/accounts/directory.ts";
import { User } from "../../../control-api/src/user/user.ts";
import { directory, Visitor } from "../../control-api/sign-in/support/visitor.ts";
import { codeOf, env, knock, ORIGIN, TestUser } from "../../control-api/support/operator.ts";

/** Sends a secret of this kind that names a user, and answers the HTTP status. */
const WAYS: [string, (user: string) => Promise<Response>][] = [
  ["a token at /mcp", (user) => withSecret("/mcp", `opr_${user}_${randomSecret()}`)],
  ["a token at the REST API", (user) => withSecret("/api/tokens", `opr_${user}_${randomSecret()}`)],
  ["a token at a machine's address", (user) => withSecret("/m/attic/mcp", `opr_${user}_${randomSecret()}`)],
  ["an access token of an app", (user) => withSecret("/mcp", `${user}:grant:${randomSecret()}`)],
  ["an enrolment key", (user) => withSecret("/api/enrolments", `ope_${user}_${randomSecret()}`)],
  [
    "an enrolment key of a machine that leaves",
    (user) => withSecret("/api/enrolments", `ope_${user}_${randomSecret()}`, "DELETE"),
  ],
  ["an authorization code", (user) => atTokenEndpoint({ grant_type: "authorization_code", code: `${user}:grant:x` })],
  ["a refresh token", (user) => atTokenEndpoint({ grant_type: "refresh_token", refresh_token: `${user}:grant:x` })],
  ["a token to revoke", (user) => atTokenEndpoint({ token: `${user}:grant:x` })],
];

function withSecret(path: string, secret: string, method = "POST"): Promise<Response> {
  const headers = { authorization: `Bearer ${secret}`, "content-type": "application/json" };
  return knock(`${ORIGIN}${path}`, { method, headers, body: JSON.stringify({ identity: "i".repeat(20) }) });
}

function atTokenEndpoint(form: Record<string, string>): Promise<Response> {
  return knock(`${ORIGIN}/oauth/token`, { method: "POST", body: new URLSearchParams({ client_id: "x", ...form }) });
}

async function hasObject(user: string): Promise<boolean> {
  const id = env.USER.idFromName(user);
  return (await listDurableObjectIds(env.USER)).some((one) => one.equals(id));
}

test.each(WAYS)("%s that names nobody's user creates none", async (_, ask) => {
  const user = `nobody-${crypto.randomUUID()}`;
  expect([400, 401]).toContain((await ask(user)).status);
  expect(await hasObject(user)).toBe(false);
});

test.each([
  ["code", (secret: string) => ({ grant_type: "authorization_code", code: secret })],
  ["refresh token", (secret: string) => ({ grant_type: "refresh_token", refresh_token: secret })],
  ["token to revoke", (secret: string) => ({ token: secret })],
])("a %s of a grant that does not exist does not reach the object of its user, who exists", async (_, form) => {
  const { name } = await Visitor.invited();
  const user = (await directory().people()).find((person) => person.name === name)?.id ?? "";
  const asked = (["redeem", "revoked", "endGrant"] as const).map((method) => vi.spyOn(User.prototype, method));
  onTestFinished(() => void vi.restoreAllMocks());
  expect((await atTokenEndpoint(form(`${user}:nogrant:secret`))).status).toBe(401);
  for (const method of asked) expect(method).not.toHaveBeenCalled();
});

test("a token and a key of a user who exists are looked up, and an invalid one is refused", async () => {
  const user = new TestUser();
  const made: { token: string } = await (await user.rest("POST", "/api/tokens", { label: "laptop" })).json();
  expect(await hasObject(user.id)).toBe(true);
  // Other isolates learn of a user who signs in elsewhere from the directory.
  expect(await accountsOf(env).isUser(user.id)).toBe(true);
  expect((await new TestUser(user.id, made.token).rest("GET", "/api/me")).status).toBe(200);
  expect(await codeOf(await withSecret("/api/tokens", `opr_${user.id}_${randomSecret()}`))).toBe("unauthorized");
  expect(await codeOf(await withSecret("/api/enrolments", `ope_${user.id}_${randomSecret()}`))).toBe("unauthorized");
});
