/**
 * Root cause: requests were limited, but not what one of them costs. A new machine is a script that is uploaded, and on an Operator of one's own a
 * process, so that an invited person's burst of 3,000 requests used up the memory of everybody's computer.
 */
import { expect, test } from "vitest";
import { TestUser } from "../../control-api/support/operator.ts";

test("somebody who was invited adds 120 machines at once, and few more", async () => {
  const [mallory, alice] = [new TestUser(), new TestUser()];
  const answers = await Promise.all(Array.from({ length: 150 }, (_, number) => mallory.register(`machine-${number}`)));
  const statuses = answers.map(({ status }) => status);
  expect(new Set(statuses)).toEqual(new Set([201, 429]));
  const refused = answers.find(({ status }) => status === 429);
  expect(await refused?.json()).toMatchObject({ error: { code: "too_many_requests", retryable: true } });
  // What is there already can be set up again, and others are not affected.
  const known = statuses.indexOf(201);
  expect((await mallory.register(`machine-${known}`)).status).toBe(200);
  expect((await alice.register("attic")).status).toBe(201);
});
