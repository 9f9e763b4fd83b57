import { expect, test } from "vitest";
import { allGrants } from "../../../control-api/src/sign-in/oauth/all-grants.ts";
import { oauthApi } from "../../../control-api/src/sign-in/oauth/authorization-server.ts";
import { Store } from "../../../control-api/src/sign-in/oauth/store/store.ts";
import { env } from "../support/operator.ts";

test("all of a person's grants are found, on however many pages they are, and nobody else's", async () => {
  const [user, other] = [`person-${crypto.randomUUID()}`, `person-${crypto.randomUUID()}`];
  const store = new Store(env);
  for (const [userId, ids] of [
    [user, ["a", "b", "c", "d", "e"]],
    [other, ["f"]],
  ] as const)
    // prettier-ignore
    for (const id of ids) await store.put(`grant:${userId}:${id}`, JSON.stringify({ id, userId, clientId: "app" }));
  const api = oauthApi(env);
  const pages: (string | undefined)[] = [];
  const narrow: typeof api = {
    ...api,
    listUserGrants: (userId, options) => {
      pages.push(options?.cursor);
      return api.listUserGrants(userId, { ...options, limit: 2 });
    },
  };
  const ids = (await allGrants(narrow, user)).map(({ id }) => id);
  expect([pages.length, ids.toSorted()]).toEqual([3, ["a", "b", "c", "d", "e"]]);
  expect((await allGrants(api, other)).map(({ id }) => id)).toEqual(["f"]);
});
