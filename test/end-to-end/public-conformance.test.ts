import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { startConformanceServer } from "./support/conformance/server.ts";
import { failed, type Revision, runSuite } from "./support/conformance/suite.ts";
import { Machine } from "./support/machine.ts";
import type { TestOperator } from "./support/operator.ts";
import { startPublicOperator } from "./support/public-operator.ts";
import { SignedInForwarder } from "./support/signed-in-forwarder.ts";

const REVISIONS: readonly Revision[] = ["2025-11-25", "2026-07-28"];

let operator: TestOperator;
let direct: URL;
/** The machine's URL through the front, for a suite that cannot sign in. */
let relayed: URL;

beforeAll(async () => {
  operator = await startPublicOperator();
  const server = await startConformanceServer();
  operator.own(server);
  direct = server.url;
  const machine = await Machine.add(operator, "attic", server.url);
  const forwarder = await SignedInForwarder.start(new URL(operator.url), await operator.token());
  operator.own(forwarder);
  relayed = new URL(machine.url.pathname, forwarder.url);
});

afterAll(() => operator[Symbol.asyncDispose]());

describe.each(REVISIONS)(
  "the public conformance suite, as of %s, through the front of a public Operator",
  (revision) => {
    test("gives the machine's server the same result as directly, check by check", async () => {
      const [there, here] = await Promise.all([runSuite(direct, revision), runSuite(relayed, revision)]);
      expect(failed(there)).toEqual([]);
      expect(here).toEqual(there);
    });
  },
);
