import { describe, expect, it } from "vitest";
import {
  detailsOf,
  ERROR_HEADER,
  errorResponse,
  isRetryable,
  jsonRpcError,
  mayHaveRun,
  messageOf,
  type OperatorError,
  type OperatorErrorCode,
  OperatorFailure,
  statusOf,
} from "#protocol/error.ts";

type Expected = { error: OperatorError; status: number; retryable: boolean; says: RegExp };

/** One of every code; a new code does not compile until it is here. `says`: what to do about it. */
const EVERY: { [Code in OperatorErrorCode]: Expected & { error: { code: Code } } } = {
  unauthorized: { error: { code: "unauthorized" }, status: 401, retryable: false, says: /sign in/i },
  forbidden: { error: { code: "forbidden", reason: "Reading only." }, status: 403, retryable: false, says: /^Reading only\.$/ },
  invalid_request: { error: { code: "invalid_request", reason: "Send a name." }, status: 400, retryable: false, says: /^Send a name\.$/ },
  fresh_sign_in_needed: { error: { code: "fresh_sign_in_needed", what: "Making a token", page: "https://op.test/account" }, status: 403, retryable: false, says: /Making a token needs a person.*Sign in again.*op\.test\/account/ },
  not_found: { error: { code: "not_found", reason: "Nothing there." }, status: 404, retryable: false, says: /^Nothing there\.$/ },
  cursor_expired: { error: { code: "cursor_expired" }, status: 410, retryable: false, says: /without a cursor/ },
  name_taken: { error: { code: "name_taken", name: "attic" }, status: 409, retryable: false, says: /"attic".*codez setup attic --replace/ },
  token_unknown: { error: { code: "token_unknown" }, status: 404, retryable: false, says: /no such token/ },
  grant_unknown: { error: { code: "grant_unknown" }, status: 404, retryable: false, says: /no such grant/ },
  sign_in_unavailable: { error: { code: "sign_in_unavailable" }, status: 503, retryable: true, says: /Try again in a few seconds/ },
  internal: { error: { code: "internal" }, status: 500, retryable: true, says: /log/ },
  too_many_requests: { error: { code: "too_many_requests", of: "token", afterMs: 1_500 }, status: 429, retryable: true, says: /Nothing was done.*Wait 2 s, then send this request again/ },
  budget_spent: { error: { code: "budget_spent", perDay: 100, afterMs: 60_000 }, status: 429, retryable: true, says: /100 calls a day.*in 60 s.*codez tokens create/ },
  approval_not_allowed: { error: { code: "approval_not_allowed", machine: "attic", page: "https://op.test/account" }, status: 403, retryable: false, says: /op\.test\/inbox.*codez permissions.*"attic".*op\.test\/account/ },
  already_decided: { error: { code: "already_decided", what: "plan", behavior: "deny", by: "ann, on the inbox page", atMs: 0 }, status: 409, retryable: false, says: /plan was denied before, at 1970.*by ann.*Nothing was changed/ },
  key_reused: { error: { code: "key_reused", key: "k-1" }, status: 409, retryable: false, says: /k-1.*new key for every new call/ },
  machine_replaced: { error: { code: "machine_replaced", machine: "attic" }, status: 409, retryable: false, says: /"attic".*Nothing was done.*Look again/ },
  machine_unknown: { error: { code: "machine_unknown", machine: "attic" }, status: 404, retryable: false, says: /"attic".*list_machines.*codez setup attic/ },
  machine_offline: {
    error: { code: "machine_offline", machine: "attic", lastSeenMs: Date.UTC(2026, 0, 2, 3, 4, 5) },
    status: 503,
    retryable: true,
    says: /"attic".*2026-01-02T03:04:05.*codez connect/,
  },
  machine_timeout: { error: { code: "machine_timeout", machine: "attic", afterMs: 5_000 }, status: 504, retryable: true, says: /"attic".* 5 s.*before you call again/ },
  machine_revoked: { error: { code: "machine_revoked", machine: "attic" }, status: 503, retryable: false, says: /"attic".*may have been carried out.*codez setup attic/ },
  machine_starting: { error: { code: "machine_starting", machine: "attic" }, status: 503, retryable: true, says: /"attic".*has not reached it.*Try again/ },
  answer_too_large: { error: { code: "answer_too_large", machine: "attic", limitBytes: 8 * 1024 * 1024 }, status: 502, retryable: false, says: /"attic".*8 MiB.*was carried out.*own URL/ },
  machine_busy: { error: { code: "machine_busy", machine: "attic", limit: 512 }, status: 429, retryable: true, says: /"attic".*512.*again/ },
  machine_failed: { error: { code: "machine_failed", machine: "attic", reason: "it broke" }, status: 502, retryable: false, says: /"attic".*it broke/ },
  link_lost: { error: { code: "link_lost", machine: "attic" }, status: 502, retryable: true, says: /"attic".*before you call again/ },
  agent_too_old: { error: { code: "agent_too_old", machine: "attic", reason: "no such method" }, status: 502, retryable: false, says: /"attic".*no such method.*codez\.tgz setup attic.*codez connect/ },
  tool_unknown: { error: { code: "tool_unknown", machine: "attic", tool: "dig" }, status: 404, retryable: false, says: /"attic".*"dig".*list_tools/ },
}; // prettier-ignore

const every = Object.values(EVERY) as Expected[];

describe.each(every.map((expected) => [expected.error.code, expected] as const))(
  "%s",
  (code, { error, status, retryable, says }) => {
    it("has a status, says what to do, and whether to try again", () => {
      expect(statusOf(error)).toBe(status);
      expect(isRetryable(error)).toBe(retryable);
      expect(messageOf(error)).toMatch(says);
    });

    it("has the same code, message and evidence everywhere", async () => {
      const details = { ...error, message: messageOf(error), retryable };
      expect(detailsOf(error)).toEqual(details);
      const response = errorResponse(error);
      expect(response.status).toBe(status);
      expect(response.headers.get(ERROR_HEADER)).toBe(code);
      expect(await response.json()).toEqual({ error: details });
      expect(jsonRpcError(error, "id-7")).toEqual({
        jsonrpc: "2.0",
        id: "id-7",
        error: { code: -32_000, message: messageOf(error), data: details },
      });
      expect(new OperatorFailure(error)).toMatchObject({ error, message: messageOf(error) });
    });
  },
);

it("a call that may have run says so, whichever error it fails with, and other calls do not", () => {
  const failed: OperatorError = { code: "machine_failed", machine: "attic", reason: "it broke", mayHaveRun: true };
  for (const error of [...every.map((one) => one.error), failed])
    expect(/carried out|still be working/.test(messageOf(error)), error.code).toBe(mayHaveRun(error));
});

it.each(["it broke", "it broke."])("a reason is one sentence, as in %j", (reason) => {
  const failed = { code: "machine_failed", machine: "attic", reason, mayHaveRun: true } as const;
  expect(messageOf(failed)).toContain("it broke. The call may have been carried out.");
  expect(messageOf({ code: "agent_too_old", machine: "attic", reason })).toContain("it broke. On that computer");
});

it("a machine that was never online is described as such, not as last seen in 1970", () => {
  expect(messageOf({ code: "machine_offline", machine: "attic", lastSeenMs: null })).toMatch(/never been online/);
});

describe("the answer about an unknown machine", () => {
  const unknown = { code: "machine_unknown", machine: "atic" } as const;

  it.each([
    [
      "names the machines there are",
      ["attic", "cellar"],
      2,
      'There is no machine "atic". Your machines: attic, cellar. ',
    ],
    ["says how many more there are", ["attic"], 41, "Your machines: attic, and 40 more (call list_machines). "],
    ["says when there are none", [], 0, "You have no machines yet. Run `codez setup atic`"],
  ])("%s", (_, machines, machineCount, says) => {
    expect(messageOf({ ...unknown, machines, machineCount })).toContain(says);
    expect(detailsOf({ ...unknown, machines, machineCount })).toMatchObject({ machines, machineCount });
  });
});
