// Root cause: what lasts for a time was valid until its end, whenever that was. A computer whose clock was ahead, and was then put right,
// left codes, invitations, sessions and fresh sign-ins that were valid for years, and people who were locked out for as long.
import { afterEach, describe, expect, test, vi } from "vitest";
import { ask, bearer, Client, directory, errorOf, invitation, PASSWORD, statusWith, Visitor } from "../../control-api/sign-in/support/visitor.ts"; // prettier-ignore
import { FRESH_MS } from "../../../control-api/src/sign-in/fresh.ts";
import { User } from "../../../control-api/src/user/user.ts";
import { awaited } from "../../support/awaited.ts";

const MINUTE_MS = 60_000;
const DAY_MS = 24 * 60 * MINUTE_MS;
const YEAR_MS = 365 * DAY_MS;

const realNow = Date.now.bind(Date);
/** The clock of the computer shows this much more than the time. */
const shift = (ms: number): void => void vi.spyOn(Date, "now").mockImplementation(() => realNow() + ms);
afterEach(() => void vi.restoreAllMocks());

/** A stretch of time, and how far the clock is from the true time before and after it. */
const WRONG: [string, number, number][] = [
  ["a clock that was ahead by years is put right", YEAR_MS, 0],
  ["a clock that is right is put back", 0, -YEAR_MS],
  ["a clock that was ahead by hours is put right", 3 * 60 * MINUTE_MS, 0],
];

async function deviceCode(client: Client): Promise<{ device_code: string; user_code: string }> {
  const body = new URLSearchParams({ client_id: client.id, scope: "operator:admin" });
  return (await ask("/oauth/device_authorization", { method: "POST", body })).json();
}

function redeem(client: Client, { device_code: code }: { device_code: string }): Promise<Response> {
  const form = { grant_type: "urn:ietf:params:oauth:grant-type:device_code", device_code: code, client_id: client.id };
  return ask("/oauth/token", { method: "POST", body: new URLSearchParams(form) });
}

async function pair(person: Visitor, code: { user_code: string }): Promise<void> {
  await person.post("/pair", { csrf: await person.csrf("/pair"), code: code.user_code, decision: "allow" });
}

const make = (accessToken: string) =>
  ask("/api/tokens", { method: "POST", body: JSON.stringify({ label: "t" }), ...bearer(accessToken) });

describe.each(WRONG)("when %s", (_, before, after) => {
  test("no device code, approved or not, can be used", async () => {
    shift(before);
    const [person, client] = [await Visitor.invited(), await Client.registered()];
    const [open, approved] = [await deviceCode(client), await deviceCode(client)];
    await pair(person, approved);
    const { id = "" } = (await directory().people()).find(({ name }) => name === person.name) ?? {};
    const [browser] = await directory().sessions(id);
    shift(after);
    for (const code of [open, approved]) expect(await errorOf(await redeem(client, code))).toBe("expired_token");
    expect(await directory().askedByDevice(open.user_code, id)).toBeNull();
    expect(await directory().decideDevice(open.user_code, id, browser?.id ?? "", true)).toBeNull();
  });

  test("no browser stays signed in, and no app counts as freshly signed in", async () => {
    shift(before);
    const [person, client] = [await Visitor.invited(), await Client.registered()];
    const { access_token: token } = await client.signIn(person, { scope: "operator:admin mcp:tools" });
    expect((await make(token)).status).toBe(201);
    shift(after);
    expect((await person.get("/account")).status).not.toBe(200);
    const status = await statusWith(token);
    if (status === 200) expect((await make(token)).status).toBe(403);
    else expect(status).toBe(401);
  });
});

test("nobody is locked out for longer than the limit's time after a fast clock is corrected", async () => {
  const address = crypto.randomUUID();
  const limit = { times: 2, windowMs: 15 * MINUTE_MS };
  shift(YEAR_MS);
  const taken = [
    await directory().takeFrom("register", address, limit),
    await directory().takeFrom("register", address, limit),
  ];
  expect([...taken, (await directory().takeFrom("register", address, limit)) > 0]).toEqual([0, 0, true]);
  shift(0);
  expect(await directory().takeFrom("register", address, limit)).toBe(0);
  shift(14 * MINUTE_MS);
  expect(await directory().takeFrom("register", address, limit)).toBe(0);
  expect(await directory().takeFrom("register", address, limit)).toBeGreaterThan(0);
});

test("no invitation lasts longer than it should after a fast clock is corrected", async () => {
  for (const [aheadMs, status] of [
    [YEAR_MS, 401],
    [0, 303],
  ] as const) {
    shift(aheadMs);
    const code = await invitation();
    shift(0);
    const form = { code, name: `p-${crypto.randomUUID()}`, password: PASSWORD };
    expect((await new Visitor().post("/invite", form)).status).toBe(status);
  }
});

describe("as time passes", () => {
  test("a fresh sign-in ends after a quarter of an hour, in the browser and for an app, even with constant use", async () => {
    const [person, client] = [await Visitor.invited(), await Client.registered()];
    let tokens = await client.signIn(person, { scope: "operator:admin mcp:tools" });
    for (const minutes of [5, 10, 14]) {
      shift(minutes * MINUTE_MS);
      tokens = await (await client.refresh(tokens.refresh_token)).json();
      expect((await make(tokens.access_token)).status).toBe(201);
      expect((await person.get("/account")).status).toBe(200);
    }
    shift(FRESH_MS + 1_000);
    tokens = await (await client.refresh(tokens.refresh_token)).json();
    expect((await make(tokens.access_token)).status).toBe(403);
    const form = { csrf: await person.csrf("/account"), label: "t" };
    expect((await person.post("/account/tokens", form)).headers.get("location")).toContain("/sign-in/confirm");
  });

  test("a device that fetches its tokens late is only as fresh as its person's approval", async () => {
    const [person, client] = [await Visitor.invited(), await Client.registered()];
    const code = await deviceCode(client);
    await pair(person, code);
    shift(9 * MINUTE_MS);
    const { access_token: token }: { access_token: string } = await (await redeem(client, code)).json();
    expect((await make(token)).status).toBe(201);
    shift(FRESH_MS + 1_000);
    expect((await make(token)).status).toBe(403);
  });

  test("an access token ends after an hour, and a stream that it opened within a minute of that", async () => {
    const [person, client] = [await Visitor.invited(), await Client.registered()];
    const { access_token: token } = await client.signIn(person);
    const [user = ""] = token.split(":");
    let passedMs = 58 * MINUTE_MS;
    shift(passedMs);
    // Nothing is revoked, and the time that the stream waits for a revocation passes at once.
    const { awaitRevocation: real } = User.prototype;
    vi.spyOn(User.prototype, "awaitRevocation").mockImplementation(function (this: User, timeoutMs) {
      if (this.name !== user) return real.call(this, timeoutMs);
      shift((passedMs += timeoutMs));
      return scheduler.wait(10);
    });
    const stream = await ask("/api/events", bearer(token));
    expect(stream.status).toBe(200);
    await awaited("the end of the stream", stream.text());
    expect(await statusWith(token)).toBe(401);
    expect(passedMs).toBeLessThanOrEqual(61 * MINUTE_MS);
  });
});
