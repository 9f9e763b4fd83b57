// Root cause: the address that limits and pages go by was whatever the request said, and was compared as it was spelled.
import { runInDurableObject } from "cloudflare:test";
import { describe, expect, test } from "vitest";
import { addressOf, limitAt, UNKNOWN_ADDRESS } from "../../../control-api/src/sign-in/address.ts";
import { Client, directory, PASSWORD, Visitor } from "../../control-api/sign-in/support/visitor.ts";
import { env, knock, ORIGIN } from "../../control-api/support/operator.ts";

const ADDRESS = "cf-connecting-ip";

function counted(address: string | null, bindings = {}): string {
  const headers = address === null ? {} : { [ADDRESS]: address };
  return addressOf(new Request(ORIGIN, { headers }), bindings);
}

describe("each of these addresses counts as the same customer's network", () => {
  const SAME = [
    "2001:db8::1",
    "2001:db8::2",
    "2001:DB8:0:0:ffff::3",
    "2001:0db8:0000:0000:0000:0000:0000:0004",
    "2001:db8:0:0::192.0.2.5",
    "2001:db8::%eth0",
  ];
  test.each(SAME)("%s", (address) => {
    expect(counted(address)).toBe("2001:db8:0:0::/64");
  });

  test("different networks are counted separately", () => {
    const others = ["2001:db8:0:1::1", "2001:db8:1::1", "::1", "fe80::1", "2001:db9::1"].map((one) => counted(one));
    expect(new Set([...others, counted("2001:db8::1")]).size).toBe(6);
  });

  test.each(["::ffff:192.0.2.7", "::FFFF:c000:207", "0:0:0:0:0:ffff:192.0.2.7"])("%s is an IPv4 address", (address) => {
    expect(counted(address)).toBe(counted("192.0.2.7"));
  });

  test("a thousand spellings of addresses in one network count as one", () => {
    const random = (): string => Math.floor(Math.random() * 65_536).toString(16);
    const all = Array.from({ length: 1_000 }, () => {
      const groups = ["2a00", "0", "0", "7", random(), random(), Math.random() < 0.5 ? "0" : random(), random()];
      return counted(Math.random() < 0.5 ? groups.join(":") : groups.join(":").replace(":0:0:", "::"));
    });
    expect(new Set(all)).toEqual(new Set(["2a00:0:0:7::/64"]));
  });
});

describe("without a proxy in front that states the client's address", () => {
  test("the client's own claim is ignored", () => {
    for (const said of ["203.0.113.1", "127.0.0.1", "local", null])
      expect(counted(said, { NO_EDGE: "1" })).toBe(UNKNOWN_ADDRESS);
    expect(counted(null)).toBe(UNKNOWN_ADDRESS);
    expect(counted("")).toBe(UNKNOWN_ADDRESS);
  });

  test("claiming a new address for each guess gives no more guesses", async () => {
    const person = await Visitor.invited();
    const guess = async (number: number): Promise<number> => {
      const body = new URLSearchParams({ name: person.name, password: `wrong ${number} wrong` });
      const headers = { "sec-fetch-site": "same-origin", [ADDRESS]: `203.0.113.${number}` };
      return (await knock(`${ORIGIN}/sign-in`, { method: "POST", body, headers }, { NO_EDGE: "1" })).status;
    };
    expect([await guess(1), await guess(2)]).toEqual([401, 401]);
    // Of the 80 that are allowed, all but one are counted without being made: each takes a slow hash.
    await runInDurableObject(directory(), (_, { storage }) => {
      const key = `password-at:${UNKNOWN_ADDRESS}:${person.name.toLowerCase()}`;
      const changed = storage.sql.exec("UPDATE attempt SET count = count + 77 WHERE key = ? AND count = 2", key);
      expect(changed.rowsWritten).toBe(1);
    });
    expect([await guess(3), await guess(4), await guess(5)]).toEqual([401, 429, 429]);
  });

  test("one person's mistakes do not lock out the others, because the shared limit is higher", async () => {
    const limit = { times: 8, windowMs: 1 };
    expect(limitAt(UNKNOWN_ADDRESS, limit)).toEqual({ times: 80, windowMs: 1 });
    expect(limitAt("203.0.113.1", limit)).toEqual(limit);
    const person = await Visitor.invited();
    const signIn = async (password: string) => {
      const body = new URLSearchParams({ name: person.name, password });
      const init = { method: "POST", body, headers: { "sec-fetch-site": "same-origin" }, redirect: "manual" as const };
      return (await knock(`${ORIGIN}/sign-in`, init, { NO_EDGE: "" })).status;
    };
    for (let slip = 0; slip < 9; slip += 1) expect(await signIn("wrong wrong wrong")).toBe(401);
    expect(await signIn(PASSWORD)).toBe(303);
  });
});

describe("the pairing page", () => {
  test("never calls a client this computer, and says that what it allows can create tokens", async () => {
    const device = await Client.registered({}, "http://127.0.0.1/callback");
    const body = new URLSearchParams({ client_id: device.id, scope: "operator:admin" });
    const headers = { [ADDRESS]: "local" };
    const url = `${ORIGIN}/oauth/device_authorization`;
    const begun = await knock(url, { method: "POST", body, headers }, { ...env, NO_EDGE: "1" });
    const { user_code: code }: { user_code: string } = await begun.json();
    const shown = await (await (await Visitor.invited()).get(`/pair?code=${code}`)).text();
    expect(shown).toContain("an unknown address");
    expect(shown).not.toContain("this computer<");
    expect(shown).toContain("Create tokens that keep working after you leave");
  });
});
