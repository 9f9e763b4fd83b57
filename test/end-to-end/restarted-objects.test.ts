import { afterAll, beforeAll, expect, test } from "vitest";
import * as z from "zod";
import { client } from "./support/clients.ts";
import { TestOperator } from "./support/operator.ts";

/** Each object of the control API is restarted within this time of each start. Milliseconds. */
const WITHIN_MS = 300;

/** Restarts that the test waits for. Each of them may meet any of the calls. */
const RESTARTS = 40;

const Machines = z.object({ machines: z.array(z.object({ name: z.string() })) });

let operator: TestOperator;
const restarts = (): number => operator.log.filter((line) => line.includes("restarted by chance")).length;

let token: string;

beforeAll(async () => {
  // What is written is written before the restarts begin: the promise is made to who only reads.
  operator = await TestOperator.start();
  const registered = await operator.api("POST", "/api/machines", { name: "attic", identity: "identity-of-attic" });
  expect(registered.status).toBe(201);
  token = await operator.token();
  await operator.stop();
  const seed = process.env["OPERATOR_SEED"] ?? "1";
  await operator.start({ OBJECT_RESTARTS: `${seed} ${WITHIN_MS}` });
});

afterAll(() => operator[Symbol.asyncDispose]());

test("a client that only reads does not notice that the control API's objects restart at random", async () => {
  await using made = await client(operator.mcpUrl, "2025-11-25", { authorization: `Bearer ${token}` });
  const until = async (read: () => Promise<void>): Promise<void> => {
    while (restarts() < RESTARTS) await read();
  };
  await Promise.all([
    until(async () => {
      const { status, body } = await operator.api("GET", "/api/machines", undefined, token);
      expect(status).toBe(200);
      expect(Machines.parse(body).machines).toEqual([{ name: "attic" }]);
    }),
    until(async () => {
      const listed = await made.callTool({ name: "list_machines", arguments: {} });
      expect(listed).toMatchObject({ structuredContent: { machines: [{ name: "attic" }] } });
    }),
    until(async () => {
      const polled = await made.callTool({ name: "poll_events", arguments: { timeout_ms: 500 } });
      expect(polled.isError ?? false).toBe(false);
    }),
  ]);
});
