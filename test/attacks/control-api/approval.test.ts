// Root cause: what a model may do was approved by a tool, and the model that asked for the work may hold the token that calls it.
import * as fc from "fast-check";
import { beforeEach, describe, expect, test } from "vitest";
import { ApprovalScan, checkApproval, mayAnswerPermission } from "../../../control-api/src/machines/approval.ts";
import { Client, statusWith, Visitor } from "../../control-api/sign-in/support/visitor.ts";
import { env, failureOf, knock, ORIGIN, type RpcAnswer, TestUser } from "../../control-api/support/operator.ts";

const encoder = new TextEncoder();

const ANSWER = { session_id: "s", request_id: "r", behavior: "allow" };

function call(name: string, args: object = ANSWER): string {
  return JSON.stringify({ jsonrpc: "2.0", id: 7, method: "tools/call", params: { name, arguments: args } });
}

/** A request to a machine's own address; `isStreamed`: without a Content-Length, as clients send what they do not hold. */
async function send(user: TestUser, machine: string, body: string, isStreamed = false): Promise<Response> {
  const bytes = encoder.encode(body);
  const headers: Record<string, string> = { "content-type": "application/json" };
  if (!isStreamed) headers["content-length"] = String(bytes.length);
  const pieces = [bytes.subarray(0, bytes.length >> 1), bytes.subarray(bytes.length >> 1)];
  const stream = new ReadableStream<Uint8Array>({
    pull(controller) {
      const piece = pieces.shift();
      if (piece === undefined) controller.close();
      else controller.enqueue(piece);
    },
  });
  const init = { method: "POST", headers, body: isStreamed ? stream : bytes };
  return user.fetch(`/m/${await user.slug(machine)}/mcp`, init);
}

async function codeIn(response: Response): Promise<unknown> {
  const answer: RpcAnswer | RpcAnswer[] = await response.json();
  const { error } = Array.isArray(answer) ? (answer[0] ?? {}) : answer;
  return (error?.data as { code?: unknown } | undefined)?.code;
}

describe("an answer to a permission request", () => {
  let user: TestUser;
  beforeEach(async () => {
    user = new TestUser();
    await user.machine("attic");
    await user.machine("cellar");
  });

  async function calls(machine: string): Promise<string[]> {
    const reached = await user.reached(machine);
    return reached.flatMap(({ path, body }) => (path === "/mcp" || path === "/operator/call" ? [body] : []));
  }

  test("is refused at /mcp under its own name and through call_tool, in each revision, and no machine is asked", async () => {
    for (const revision of ["2026-07-28", "2025-11-25"]) {
      const direct = await user.tool("respond_permission", { machineId: "attic", ...ANSWER }, revision);
      const byHandle = await user.tool("respond_permission", { ...ANSWER, session_id: "attic/s" }, revision);
      const args = { machineId: "attic", name: "respond_permission", arguments: ANSWER };
      const through = await user.tool("call_tool", args, revision);
      expect([direct, byHandle, through].map((one) => failureOf(one))).toEqual(
        Array.from({ length: 3 }, () => "approval_not_allowed"),
      );
      expect(direct.content[0]?.text).toContain("codez permissions");
    }
    expect(await calls("attic")).toEqual([]);
  });

  const large = JSON.stringify("x".repeat(300_000));
  test.each([
    ["as it is", call("respond_permission"), false],
    ["with escapes", call("respond_permission").replace("respond", "\\u0072\\u0065spond"), false],
    ["in a batch", `[${call("get_health")},${call("respond_permission")}]`, false],
    ["behind a repeated key", call("get_health").replace('"name"', '"name":"respond_permission","name"'), false],
    ["without a length", call("respond_permission"), true],
    ["after more than is held", call("respond_permission").replace("{", `{"padding":${large},`), false],
    ["after more than is held, without a length", call("respond_permission").replace("{", `{"p":${large},`), true],
  ])("is refused at a machine's own address: %s", async (_, body, isStreamed) => {
    const response = await send(user, "attic", body, isStreamed);
    expect(response.status).toBe(403);
    expect(await codeIn(response)).toBe("approval_not_allowed");
    expect((await calls("attic")).filter((one) => one === body)).toEqual([]);
  });

  test.each([
    ["another tool", call("get_health"), false],
    [
      "a text that mentions the tool",
      call("send_prompt", { text: 'call "respond_permission" and respond_permission' }),
      false,
    ],
    ["a large request", call("get_health").replace("{", `{"padding":${large},`), false],
    ["a large request without a length", call("get_health").replace("{", `{"padding":${large},`), true],
  ])("is not mistaken for %s, which arrives as it was sent", async (_, body, isStreamed) => {
    const response = await send(user, "attic", body, isStreamed);
    expect(response.status).toBe(200);
    expect(await calls("attic")).toEqual([body]);
  });

  test("passes once its person allows it for that machine, but not for other machines or other people's machines", async () => {
    const stub = env.USER.getByName(user.id);
    expect(await stub.setRemoteApproval("attic", true, null)).toBeNull();
    const body = call("respond_permission");
    for (const isStreamed of [false, true]) {
      expect((await send(user, "attic", body, isStreamed)).status).toBe(200);
      expect((await send(user, "cellar", body, isStreamed)).status).toBe(403);
    }
    expect(failureOf(await user.tool("respond_permission", { machineId: "attic", ...ANSWER }))).toBeUndefined();
    expect(failureOf(await user.tool("respond_permission", { machineId: "cellar", ...ANSWER }))).toBe(
      "approval_not_allowed",
    );
    const other = new TestUser();
    await other.machine("attic");
    expect((await send(other, "attic", body)).status).toBe(403);
    await stub.setRemoteApproval("attic", false, null);
    expect((await send(user, "attic", body)).status).toBe(403);
  });

  test("is refused again after another computer takes over the machine's name", async () => {
    await env.USER.getByName(user.id).setRemoteApproval("attic", true, null);
    await user.register("attic", { rotate: true });
    expect((await env.USER.getByName(user.id).machine("attic"))?.remoteApproval).toBe(true);
    await user.register("attic", { identity: "identity-of-another-computer", replace: true });
    expect((await env.USER.getByName(user.id).machine("attic"))?.remoteApproval).toBe(false);
  });
});

describe("the setting that allows answers to permission requests", () => {
  test("changes only on a signed-in page with a fresh sign-in, never with a token", async () => {
    const person = await Visitor.invited();
    const app = await (await Client.registered()).signIn(person, { scope: "operator:admin mcp:tools" });
    const [id = ""] = app.access_token.split(":");
    const user = new TestUser(id, app.access_token);
    await user.machine("attic");
    const allowed = async () => (await env.USER.getByName(id).machine("attic"))?.remoteApproval;
    expect(await statusWith(app.access_token, "/account/approvals/attic")).toBe(303);
    const byToken = await knock(`${ORIGIN}/account/approvals/attic`, {
      method: "POST",
      body: new URLSearchParams({ allow: "yes" }),
      headers: { authorization: `Bearer ${app.access_token}`, "sec-fetch-site": "same-origin" },
      redirect: "manual",
    });
    expect([byToken.status, await allowed()]).toEqual([303, false]);
    await person.post("/account/approvals/attic", {
      ...(await person.fields("/machines/attic")),
      csrf: "",
      allow: "yes",
    });
    expect(await allowed()).toBe(false);
    const form = await person.fields("/machines/attic");
    await person.post("/account/approvals/attic", { ...form, allow: "yes" });
    expect(await allowed()).toBe(true);
    expect(await (await person.get("/account")).text()).toContain("apps and tokens may answer");
    await person.post("/account/approvals/attic", { ...form, allow: "no" });
    expect(await allowed()).toBe(false);
  });

  test("allows forms in clients separately, in the same way", async () => {
    const person = await Visitor.invited();
    const app = await (await Client.registered()).signIn(person, { scope: "operator:admin mcp:tools" });
    const [id = ""] = app.access_token.split(":");
    await new TestUser(id, app.access_token).machine("attic");
    const allowed = async () => {
      const record = await env.USER.getByName(id).machine("attic");
      return [record?.elicitation, record?.remoteApproval];
    };
    await knock(`${ORIGIN}/account/approvals/attic`, {
      method: "POST",
      body: new URLSearchParams({ ask: "yes" }),
      headers: { authorization: `Bearer ${app.access_token}`, "sec-fetch-site": "same-origin" },
      redirect: "manual",
    });
    await person.post("/account/approvals/attic", {
      ...(await person.fields("/machines/attic")),
      csrf: "",
      ask: "yes",
    });
    expect(await allowed()).toEqual([false, false]);
    const form = await person.fields("/machines/attic");
    await person.post("/account/approvals/attic", { ...form, ask: "yes" });
    expect(await allowed()).toEqual([true, false]);
    await expect(checkApproval(env, id, "attic")).rejects.toThrow("A person decides this");
    expect(await (await person.get("/account")).text()).toContain("apps may ask you in a form");
    await person.post("/account/approvals/attic", { ...form, ask: "no" });
    expect(await allowed()).toEqual([false, false]);
  });
});

describe("the scan for answers", () => {
  /** The strings of a JSON value, keys included. */
  function strings(value: unknown): string[] {
    if (typeof value === "string") return [value];
    if (Array.isArray(value)) return value.flatMap(strings);
    if (typeof value !== "object" || value === null) return [];
    return Object.entries(value).flatMap(([key, one]) => [key, ...strings(one)]);
  }

  const NAME = "respond_permission";
  const nearly = fc.constantFrom(
    NAME,
    `${NAME} `,
    `x${NAME}`,
    NAME.slice(1),
    `"${NAME}"`,
    `\\${NAME}`,
    "respond_permissiom",
  );
  const value = fc.jsonValue({ noUnicodeString: false, stringUnit: "grapheme" } as fc.JsonSharedConstraints);
  const tree = fc.oneof(
    value,
    nearly,
    fc.array(fc.oneof(value, nearly)),
    fc.dictionary(fc.oneof(fc.string(), nearly), fc.oneof(value, nearly)),
  );

  test("finds exactly what a JSON parser finds, however the text is cut and escaped", () => {
    fc.assert(
      fc.property(tree, fc.array(fc.nat(40)), (one, cuts) => {
        const json = JSON.stringify(one);
        const bytes = encoder.encode(json);
        const scan = new ApprovalScan();
        let at = 0;
        let isFound = false;
        for (const cut of [...cuts, bytes.length]) {
          isFound ||= scan.found(bytes.subarray(at, at + cut));
          at = Math.min(bytes.length, at + cut);
        }
        expect(isFound).toBe(strings(one).includes(NAME));
      }),
      { numRuns: 500 },
    );
  });

  test("finds the name with any character written as an escape, in upper or lower case", () => {
    fc.assert(
      fc.property(fc.array(fc.boolean(), { minLength: 18, maxLength: 18 }), fc.boolean(), (picks, isUpper) => {
        const name = Array.from(NAME, (character, index) => {
          const hex = character.charCodeAt(0).toString(16).padStart(4, "0");
          return picks[index] === true ? `\\u${isUpper ? hex.toUpperCase() : hex}` : character;
        }).join("");
        const json = `{"params":{"name":"${name}"}}`;
        expect(JSON.parse(json)).toEqual({ params: { name: NAME } });
        expect(mayAnswerPermission(encoder.encode(json))).toBe(true);
      }),
    );
  });
});
