// Root cause: a password or passkey was looked up, verified while the directory went on with other requests, and then used although it had been
// changed or removed meanwhile. A thief whose sign-in was under way at that moment was signed in after all.
import { runInDurableObject } from "cloudflare:test";
import type { AuthenticationResponseJSON, RegistrationResponseJSON } from "@simplewebauthn/server";
import { expect, test } from "vitest";
import { base64Url } from "#protocol/bytes.ts";
import type { Accounts } from "../../../control-api/src/sign-in/accounts/accounts.ts";
import { newPasskey, SoftPasskey } from "../../control-api/sign-in/support/passkey.ts";
import { directory, invitation, PASSWORD, Visitor } from "../../control-api/sign-in/support/visitor.ts";

const SITE = { id: "localhost", origin: "http://localhost:8787" };

const visit = () => ({ address: crypto.randomUUID(), browser: "a browser" });

function idOf(accounts: Accounts, name: string): string {
  return accounts.people().find((person) => person.name === name)?.id ?? "";
}

test("a sign-in with a password that is changed meanwhile opens no session", async () => {
  const { name } = await Visitor.invited();
  await runInDurableObject(directory(), async (accounts: Accounts, { storage }) => {
    const sessions = () =>
      storage.sql.exec("SELECT 1 FROM session WHERE person = ?", idOf(accounts, name)).toArray().length;
    const before = sessions();
    const entering = accounts.signIn(name, PASSWORD, visit());
    storage.sql.exec("UPDATE person SET password = 'another hash' WHERE name = ?", name);
    expect(await entering).toEqual({ denied: "wrong" });
    expect(sessions()).toBe(before);
  });
});

test("of two changes of a password at once, both with the old one, the first counts", async () => {
  const { name } = await Visitor.invited();
  await runInDurableObject(directory(), async (accounts: Accounts) => {
    const id = idOf(accounts, name);
    const [browser] = accounts.sessions(id);
    const change = (to: string) => accounts.changePassword(id, PASSWORD, to, browser?.id ?? "", crypto.randomUUID());
    const answers = await Promise.all([change("the first new one"), change("the second new one")]);
    expect(answers.filter((answer) => answer === null)).toHaveLength(1);
    expect(answers).toContainEqual({ denied: "wrong" });
  });
});

test("a sign-in with a passkey that is removed meanwhile opens no session", async () => {
  const { name } = await Visitor.invited();
  const id = await runInDurableObject(directory(), (accounts: Accounts) => idOf(accounts, name));
  const passkey = await SoftPasskey.of(id, SITE.origin);
  await runInDurableObject(directory(), async (accounts: Accounts, { storage }) => {
    const { challenge } = (await accounts.passkeyToSignIn(SITE)) as { challenge: string };
    const answer = (await passkey.answer(challenge)) as AuthenticationResponseJSON;
    const entering = accounts.signInWithPasskey(answer, SITE, visit());
    storage.sql.exec("DELETE FROM passkey WHERE id = ?", answer.id);
    expect(await entering).toEqual({ denied: "wrong" });
  });
});

test("a computer that is allowed in a browser which is signed out meanwhile gets nothing", async () => {
  const { name } = await Visitor.invited();
  const asks = { clientId: "app", clientName: "App", scope: [], audience: "https://operator.test/mcp", place: "here" };
  await runInDurableObject(directory(), async (accounts: Accounts) => {
    const id = idOf(accounts, name);
    const [browser] = accounts.sessions(id);
    expect(await accounts.signIn(name, PASSWORD, visit())).toHaveProperty("session"); // in another browser
    const { deviceCode, userCode } = await accounts.beginDevice(asks);
    const deciding = accounts.decideDevice(userCode, id, browser?.id ?? "", true);
    await accounts.endSession(id, browser?.id ?? "");
    expect(await deciding).toBeNull();
    expect(await accounts.pollDevice(deviceCode, "app")).toEqual({ error: "authorization_pending" });
  });
});

test("a passkey with another one's id replaces nobody's, and opens no account", async () => {
  const id = crypto.getRandomValues(new Uint8Array(16));
  const enrol = async (accounts: Accounts, code: string) => {
    const asked = await accounts.enrolPasskey(code, `person-${crypto.randomUUID()}`, SITE, crypto.randomUUID());
    const made = await newPasskey((asked as { challenge: string }).challenge, SITE.origin, id);
    return accounts.enrolWithPasskey(made as RegistrationResponseJSON, SITE, visit());
  };
  const [first, second] = [await invitation(), await invitation()];
  await runInDurableObject(directory(), async (accounts: Accounts, { storage }) => {
    expect(await enrol(accounts, first)).toHaveProperty("session");
    const people = accounts.people().length;
    expect(await enrol(accounts, second)).toEqual({ denied: "wrong" });
    expect(accounts.people()).toHaveLength(people);
    expect(storage.sql.exec("SELECT person FROM passkey WHERE id = ?", base64Url(id)).toArray()).toHaveLength(1);
  });
});

test("a passkey that is made for one thing is taken for nothing else, and for nobody else", async () => {
  const [one, other, code] = [await Visitor.invited(), await Visitor.invited(), await invitation()];
  await runInDurableObject(directory(), async (accounts: Accounts) => {
    const [mine, theirs] = [idOf(accounts, one.name), idOf(accounts, other.name)];
    const made = async (asked: object): Promise<RegistrationResponseJSON> =>
      (await newPasskey((asked as { challenge: string }).challenge, SITE.origin)) as RegistrationResponseJSON;
    const add = (to: string, response: RegistrationResponseJSON): Promise<boolean> =>
      accounts.addPasskey(to, accounts.sessions(to)[0]?.id ?? "", response, SITE, "a browser");
    const asked = () => accounts.passkeyToAdd({ id: mine, name: one.name }, SITE);
    expect(await add(theirs, await made(await asked()))).toBe(false);
    expect(await accounts.enrolWithPasskey(await made(await asked()), SITE, visit())).toEqual({ denied: "wrong" });
    const enrolling = await accounts.enrolPasskey(code, `person-${crypto.randomUUID()}`, SITE, crypto.randomUUID());
    expect(await add(mine, await made(enrolling))).toBe(false);
    expect([mine, theirs].flatMap((id) => accounts.passkeys(id))).toEqual([]);
    expect(await add(mine, await made(await asked()))).toBe(true);
  });
});
