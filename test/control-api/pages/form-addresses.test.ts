import { expect, test } from "vitest";
import { somebody } from "./support/person.ts";

// The answer to a form is shown at the form's address. There was nothing when a phone opened a tab again, or a bookmark.
test.each([
  ["/notifications/push_1", "/notifications"],
  ["/notifications/push_1/test", "/notifications"],
  ["/notifications/receivers", "/notifications"],
  ["/notifications/receivers/hook_1/retry", "/notifications"],
  ["/account/tokens", "/account"],
  ["/account/passkeys/1/name", "/account"],
  ["/machines/attic/rename", "/machines/attic"],
  ["/machines/attic/approval", "/machines/attic"],
  ["/sessions/attic/a%2Fb/prompt", "/sessions/attic/a%2Fb"],
])("opening the address of a form, %s, leads to its page", async (path, page) => {
  const { browser } = await somebody();
  const response = await browser.get(path);
  expect([response.status, response.headers.get("location")]).toEqual([303, page]);
});
