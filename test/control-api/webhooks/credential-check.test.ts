import { expect, it } from "vitest";
import { CredentialCheck } from "../../../control-api/src/webhooks/credential-check.ts";
import { env, TestUser } from "../support/operator.ts";

it("a look-up that failed is forgotten: the next caller looks up the credential again", async () => {
  const alice = new TestUser();
  const made: { id: string } = await (await alice.rest("POST", "/api/tokens", { label: "mine" })).json();
  const reach = { isDown: true };
  const check = new CredentialCheck(
    {
      ...env,
      get USER() {
        if (reach.isDown) throw new Error("the object cannot be reached");
        return env.USER;
      },
    },
    () => alice.id,
  );
  const nowMs = Date.now();
  await expect(check.sightOf(`token:${made.id}`, nowMs)).rejects.toThrow("cannot be reached");
  reach.isDown = false;
  expect(await check.sightOf(`token:${made.id}`, nowMs)).toEqual({ machines: null });
});
