// Each step with which WebAuthn has a relying party verify a passkey (sections 7.1 and 7.2). The library takes most of them, and which ones it does
// is up to what it is called with.
import { runInDurableObject } from "cloudflare:test";
import type { AuthenticationResponseJSON, RegistrationResponseJSON } from "@simplewebauthn/server";
import { beforeAll, describe, expect, test } from "vitest";
import { base64Url, utf8 } from "#protocol/bytes.ts";
import type { Accounts } from "../../../control-api/src/sign-in/accounts/accounts.ts";
import { newPasskey, SoftPasskey, type Wrong } from "../../control-api/sign-in/support/passkey.ts";
import { directory, Visitor } from "../../control-api/sign-in/support/visitor.ts";

const SITE = { id: "localhost", origin: "http://localhost:8787" };
const visit = () => ({ address: crypto.randomUUID(), browser: "a browser" });

/** A person was there, and the device did not verify that it is its owner. */
const ONLY_PRESENT = 0x01;
/** The device verified its owner, and nobody touched it. */
const ONLY_VERIFIED = 0x04;

const OF_ANY_CEREMONY: [what: string, wrong: Wrong][] = [
  ["at another site", { client: { origin: "http://localhost:8788" } }],
  ["at a name below ours", { client: { origin: "http://attic.localhost:8787" } }],
  ["for another relying party", { site: "elsewhere.test" }],
  ["in a frame in another site's page", { client: { crossOrigin: true } }],
  [
    "in a frame in a page that the browser names",
    { client: { crossOrigin: true, topOrigin: "https://elsewhere.test" } },
  ],
  ["without a check of who holds the device", { flags: ONLY_PRESENT }],
  ["without a touch", { flags: ONLY_VERIFIED }],
];

let person: { name: string; id: string };
beforeAll(async () => {
  const { name } = await Visitor.invited();
  const idIn = (accounts: Accounts) => accounts.people().find((one) => one.name === name)?.id ?? "";
  person = { name, id: await runInDurableObject(directory(), idIn) };
});

describe("a sign-in with a passkey that was used", () => {
  async function signIn(passkey: SoftPasskey, wrong: Wrong): Promise<object> {
    return runInDurableObject(directory(), async (accounts: Accounts) => {
      const { challenge } = (await accounts.passkeyToSignIn(SITE)) as { challenge: string };
      const answer = (await passkey.answer(challenge, wrong)) as AuthenticationResponseJSON;
      return accounts.signInWithPasskey(answer, SITE, visit());
    });
  }

  test("is refused when its answer was recorded and is sent again, also if it is one that does not count its uses", async () => {
    const passkey = await SoftPasskey.of(person.id, SITE.origin);
    await runInDurableObject(directory(), async (accounts: Accounts) => {
      const { challenge } = (await accounts.passkeyToSignIn(SITE)) as { challenge: string };
      const answer = (await passkey.answer(challenge, { counter: 0 })) as AuthenticationResponseJSON;
      expect(await accounts.signInWithPasskey(answer, SITE, visit())).toHaveProperty("session");
      expect(await accounts.signInWithPasskey(answer, SITE, visit())).toEqual({ denied: "wrong" });
    });
  });

  test.each([
    ...OF_ANY_CEREMONY,
    ["to make a passkey", { client: { type: "webauthn.create" } }],
    ["with a challenge of its own", { client: { challenge: base64Url(utf8("a challenge of nobody")) } }],
    ["without saying whose it is", { userHandle: null }],
    ["as another person's", { userHandle: base64Url(utf8("owner")) }],
  ] satisfies [string, Wrong][])("%s is refused", async (_, wrong) => {
    const passkey = await SoftPasskey.of(person.id, SITE.origin);
    expect(await signIn(passkey, wrong)).toEqual({ denied: "wrong" });
    expect(await signIn(passkey, {})).toHaveProperty("session");
  });

  test("less often than before, as a copy of its device would say, is refused", async () => {
    const passkey = await SoftPasskey.of(person.id, SITE.origin);
    expect(await signIn(passkey, { counter: 9 })).toHaveProperty("session");
    expect(await signIn(passkey, { counter: 9 })).toEqual({ denied: "wrong" });
    expect(await signIn(passkey, { counter: 8 })).toEqual({ denied: "wrong" });
    expect(await signIn(passkey, { counter: 10 })).toHaveProperty("session");
  });
});

describe("a passkey that was made", () => {
  async function add(wrong: Wrong): Promise<boolean> {
    return runInDurableObject(directory(), async (accounts: Accounts) => {
      const { challenge } = (await accounts.passkeyToAdd(person, SITE)) as { challenge: string };
      const made = (await newPasskey(challenge, SITE.origin, undefined, wrong)) as RegistrationResponseJSON;
      return accounts.addPasskey(person.id, accounts.sessions(person.id)[0]?.id ?? "", made, SITE, "a browser");
    });
  }

  test.each([...OF_ANY_CEREMONY, ["to sign in", { client: { type: "webauthn.get" } }]] satisfies [string, Wrong][])(
    "%s is not added",
    async (_, wrong) => {
      expect(await add(wrong)).toBe(false);
      expect(await add({})).toBe(true);
    },
  );
});
