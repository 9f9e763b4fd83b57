/**
 * Root cause: how many hosted servers there are was looked at before an upload, and the server was stored after it. So requests at once all passed
 * the limit, and an invited person could have hundreds, each of which takes a process.
 */
import { expect, test } from "vitest";
import { deployServer } from "../../control-api/support/deploy-server.ts";
import { TestUser } from "../../control-api/support/operator.ts";

const count = (statuses: readonly number[], wanted: number): number => statuses.filter((one) => one === wanted).length;

test("a person has no more hosted servers than the limit, however many are deployed at once", async () => {
  const mallory = new TestUser();
  const deployed = await Promise.all(
    Array.from({ length: 110 }, (_, number) => deployServer(mallory, `server-${number}`)),
  );
  const statuses = deployed.map(({ status }) => status);
  expect([count(statuses, 201), count(statuses, 400)]).toEqual([100, 10]);
  // One that is there already is not a further one, and one that is deleted makes room.
  const name = `server-${statuses.indexOf(201)}`;
  expect((await deployServer(mallory, name)).status).toBe(200);
  expect((await mallory.rest("DELETE", `/api/machines/${name}`)).ok).toBe(true);
  expect((await deployServer(mallory, "another")).status).toBe(201);
});
