import { rm } from "node:fs/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { startConformanceServer } from "./support/conformance/server.ts";
import { failed, type Revision, runSuite } from "./support/conformance/suite.ts";
import { Everything } from "./support/everything.ts";
import { Machine } from "./support/machine.ts";
import { TestOperator } from "./support/operator.ts";

const REVISIONS: readonly Revision[] = ["2025-11-25", "2026-07-28"];

let operator: TestOperator;
let sdkOnly: TestOperator;
/** A server that has what the suite asks for, in both revisions; and the reference server. */
let attic: { direct: URL; machine: Machine };
let barn: { direct: URL; machine: Machine };

beforeAll(async () => {
  // The suite's client names no User-Agent.
  operator = await TestOperator.start({}, { refusesNameless: false });
  sdkOnly = await TestOperator.start({ SDK_LANE_ONLY: "1" }, { refusesNameless: false });
  // Its own disposal would wait for the end of the other's processes.
  operator.own({ [Symbol.asyncDispose]: () => rm(sdkOnly.folder, { recursive: true, force: true }) });
  operator.own({ [Symbol.asyncDispose]: () => sdkOnly.stop() });
  const server = await startConformanceServer();
  const everything = await Everything.start();
  operator.own(server);
  operator.own(everything);
  attic = { direct: server.url, machine: await Machine.add(operator, "attic", server.url) };
  barn = { direct: everything.url, machine: await Machine.add(operator, "barn", everything.url) };
});

afterAll(() => operator[Symbol.asyncDispose]());

describe.each(REVISIONS)("the public conformance suite, as of %s", (revision) => {
  test("a server that passes it directly also passes it through its machine's URL, check by check", async () => {
    const [direct, relayed] = await Promise.all([
      runSuite(attic.direct, revision),
      runSuite(attic.machine.url, revision),
    ]);
    // Only checks that pass directly can show a fault of the relay.
    expect(failed(direct)).toEqual([]);
    expect(relayed).toEqual(direct);
  });

  test("the reference server has the same score through its machine's URL as directly, check by check", async () => {
    const [direct, relayed] = await Promise.all([
      runSuite(barn.direct, revision),
      runSuite(barn.machine.url, revision),
    ]);
    // But for one thing: it takes requests of any host, and Operator's gate lets none of those through to it.
    const rebinding = "dns-rebinding-protection";
    const guarded = direct[rebinding]?.map((check) =>
      check.replace("localhost-host-rebinding-rejected FAILURE", "localhost-host-rebinding-rejected SUCCESS"),
    );
    expect(relayed).toEqual({ ...direct, ...(guarded === undefined ? {} : { [rebinding]: guarded }) });
  });

  // The short way for calls (control-api/src/mcp/lean-lane.ts), and the SDK's handler for everything.
  test.each([
    ["as it is", () => operator],
    ["by the SDK's handler alone", () => sdkOnly],
  ])("the unified endpoint passes every scenario for the features that it has, %s", async (_, which) => {
    const results = await runSuite(which().mcpUrl, revision);
    expect(failed(results)).toEqual(
      Object.keys(results)
        .filter((scenario) => scenario in NOT_OFFERED)
        .toSorted(),
    );
    // Two scenarios test several features; the parts for features that exist pass.
    for (const [scenario, checks] of Object.entries(PARTLY_OFFERED)) {
      const failures = (results[scenario] ?? []).filter((check) => check.endsWith(" FAILURE"));
      expect(failures.map((check) => check.replace(" FAILURE", ""))).toEqual(
        results[scenario] === undefined ? [] : checks,
      );
    }
  });
});

const FIXTURE = "calls a tool of the suite's own, which Operator does not have";
const NO_RESOURCES =
  "Operator has one resource of its own, a view; a machine's are read with list_resources and read_resource";
const NO_PROMPTS = "Operator has no prompts of its own; a machine's are got with list_prompts and get_prompt";
const SOME = "resources, prompts and the suite's own tools are asked for beside what Operator has; see PARTLY_OFFERED";

/** The scenarios that ask for something `/mcp` does not offer, and why. All others have to pass. */
const NOT_OFFERED: Readonly<Record<string, string>> = {
  "logging-set-level": "Operator sends no log messages, and says so in its capabilities",
  "completion-complete": "nothing to complete: no prompts, no resource templates",
  "tools-call-simple-text": FIXTURE,
  "tools-call-image": FIXTURE,
  "tools-call-audio": FIXTURE,
  "tools-call-embedded-resource": FIXTURE,
  "tools-call-mixed-content": FIXTURE,
  "tools-call-with-logging": FIXTURE,
  "tools-call-error": FIXTURE,
  "tools-call-with-progress": FIXTURE,
  "tools-call-sampling": FIXTURE,
  "tools-call-elicitation": FIXTURE,
  "json-schema-2020-12": FIXTURE,
  "elicitation-sep1034-defaults": FIXTURE,
  "elicitation-sep1330-enums": FIXTURE,
  "resources-read-text": NO_RESOURCES,
  "resources-read-binary": NO_RESOURCES,
  "resources-templates-read": NO_RESOURCES,
  "resources-subscribe": NO_RESOURCES,
  "resources-unsubscribe": NO_RESOURCES,
  "prompts-list": NO_PROMPTS,
  "prompts-get-simple": NO_PROMPTS,
  "prompts-get-with-args": NO_PROMPTS,
  "prompts-get-embedded-resource": NO_PROMPTS,
  "prompts-get-with-image": NO_PROMPTS,
  "server-stateless": SOME,
  caching: SOME,
  "http-custom-header-server-validation": "no tool of Operator's takes a parameter from a header",
  "input-required-result-basic-elicitation": FIXTURE,
  "input-required-result-basic-sampling": FIXTURE,
  "input-required-result-basic-list-roots": FIXTURE,
  "input-required-result-request-state": FIXTURE,
  "input-required-result-multiple-input-requests": FIXTURE,
  "input-required-result-multi-round": FIXTURE,
  "input-required-result-non-tool-request": NO_PROMPTS,
  "input-required-result-result-type": FIXTURE,
  "input-required-result-tampered-state": FIXTURE,
  "input-required-result-capability-check": FIXTURE,
};

/** Checks that ask for what is not offered, in scenarios of which all the rest has to pass. */
const PARTLY_OFFERED: Readonly<Record<string, readonly string[]>> = {
  "server-stateless": [
    "sep-2575-server-rejects-undeclared-capability",
    "sep-2575-missing-capability-http-400",
    "sep-2575-http-server-no-independent-requests-on-stream",
    "sep-2575-server-no-log-without-loglevel",
  ],
  caching: ["sep-2549-prompts-list-caching-hints"],
};
