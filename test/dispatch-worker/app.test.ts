import { exports } from "cloudflare:workers";
import { describe, expect, it } from "vitest";
import { errorResponse } from "#protocol/error.ts";
import { app } from "../../dispatch-worker/src/app.ts";
import type { Env } from "../../dispatch-worker/src/env.ts";
import { codeOf, dispatch, type Script, seen, trusted } from "./support/namespace.ts";

const MCP = "http://localhost/m/attic/mcp";
const LINK = "http://localhost/m/attic/link";

/** The headers of a connector. */
const DIAL = { upgrade: "websocket", authorization: "Bearer opl_x" };

describe("without the secret", () => {
  it("every answer is the same, whether the machine exists or not, and no script is asked", async () => {
    const { response: refused } = await dispatch(MCP);
    const answer = await seen(refused);
    expect(answer).toMatchObject({ status: 401 });
    for (const url of [
      "http://localhost/m/nobody/mcp",
      "http://localhost/m/attic/operator/state",
      "http://localhost/m/attic/link/",
      "http://localhost/m/attic/LINK",
      "http://attic.localhost/mcp",
      "http://nobody.localhost/",
      "http://localhost/",
      "http://localhost/m/api/mcp",
      "http://elsewhere.example/m/%2e%2e/link",
    ]) {
      const { response, reached } = await dispatch(url);
      expect(reached, url).toEqual([]);
      expect(await seen(response), url).toEqual(answer);
    }
  });

  it.each(["wrong", "", "gate-secret-and-more"])("a wrong one is treated like none: %j", async (secret) => {
    const headers = { "x-operator-secret": secret, "x-operator-machine": "attic", "x-operator-caller": "owner" };
    const { response, reached } = await dispatch(MCP, { headers });
    expect(response.status).toBe(401);
    expect(await codeOf(response)).toBe("unauthorized");
    expect(reached).toEqual([]);
  });

  it("an Operator without a secret refuses everybody", async () => {
    for (const headers of [{}, { "x-operator-secret": "" }] as Record<string, string>[]) {
      const { response } = await dispatch(MCP, { headers }, { DISPATCH_SECRET: "", DISPATCH_SECRET_PREVIOUS: "" });
      expect(response.status).toBe(401);
    }
  });
});

describe("a host that cannot be part of a URL", () => {
  // A request of workerd's own has the URL that it was asked with; one that a test makes is checked, so only its `url` is exchanged.
  it.each(["http://a:99999/mcp", "http://%61ttic.localhost@/mcp", "http://a b/", "*"])(
    "is refused: %s",
    async (url) => {
      const answered = async (headers: Record<string, string>) => {
        const request = new Proxy(new Request(MCP, { headers }), {
          get: (target, key) => (key === "url" ? url : Reflect.get(target, key, target)),
        });
        return codeOf(await app.fetch(request, { DISPATCH_SECRET: "gate-secret", DOMAIN: "localhost" } as Env));
      };
      expect(await answered({})).toBe("unauthorized");
      expect(await answered(trusted())).toBe("invalid_request");
    },
  );
});

describe("with the secret", () => {
  it.each(["gate-secret", "older-secret"])("the right machine answers: %s", async (secret) => {
    const headers = { "x-operator-secret": secret };
    const attic = await dispatch(MCP, { headers });
    expect(await attic.response.text()).toBe("I am attic");
    const cellar = await dispatch("http://localhost/m/cellar/mcp", { headers });
    expect(await cellar.response.text()).toBe("I am cellar");
  });

  it("an unknown machine is reported as unknown", async () => {
    const { response } = await dispatch("http://localhost/m/nobody/mcp", { headers: trusted() });
    expect(response.status).toBe(404);
    expect(response.headers.get("x-operator-error")).toBe("machine_unknown");
    expect(await response.json()).toMatchObject({ error: { code: "machine_unknown", machine: "nobody" } });
  });

  it.each<[string, string, number, string, string]>([
    ["throws", "Cannot read properties of undefined", 502, "machine_failed", "the operator's log"],
    ["uses too much CPU", "Worker exceeded CPU time limit.", 504, "machine_timeout", "10 s"],
    ["asks too many others", "Too many subrequests.", 502, "machine_failed", "may have been carried out"],
    ["uses too much memory", "Worker exceeded memory limit.", 502, "machine_failed", "may have been carried out"],
    ["is not running", "The script is not running: it keeps crashing", 503, "machine_starting", "has not reached it"],
    ["takes too long", "The operation timed out", 504, "machine_timeout", "10 s"],
    ["dies in mid-call", "Network connection lost.", 502, "link_lost", "may have been carried out"],
    ["is replaced in mid-call", "Durable Object reset because its code was updated.", 502, "link_lost", "by itself"],
  ])(
    "a script that %s fails with its own error code, and its message stays in the log",
    async (_, message, status, code, says) => {
      const attic: Script = () => Promise.reject(new Error(message));
      const { response } = await dispatch(MCP, { headers: trusted() }, { scripts: { attic } });
      expect(response.status).toBe(status);
      const { error }: { error: { code: string; message: string } } = await response.json();
      expect(error.code).toBe(code);
      expect(error.message).toContain(says);
      expect(JSON.stringify(error)).not.toContain(message);
      const { response: neighbour } = await dispatch(
        "http://localhost/m/cellar/mcp",
        { headers: trusted() },
        { scripts: { attic } },
      );
      expect(await neighbour.text()).toBe("I am cellar");
    },
  );

  it("a script's own answer is returned unchanged, including errors", async () => {
    const attic: Script = () => new Response("teapot", { status: 418, headers: { "x-answer": "yes" } });
    const { response } = await dispatch(MCP, { headers: trusted() }, { scripts: { attic } });
    expect([response.status, response.headers.get("x-answer"), await response.text()]).toEqual([418, "yes", "teapot"]);
  });

  it("a script gets limits with each call", async () => {
    const { reached } = await dispatch(MCP, { headers: trusted() });
    expect(reached).toMatchObject([{ args: {}, options: { limits: { cpuMs: 10_000, subRequests: 50 } } }]);
  });

  it("method, query and body reach the script unchanged", async () => {
    const body = Uint8Array.from({ length: 256 }, (_, index) => index);
    const attic: Script = async (request) => {
      expect([request.method, request.url]).toEqual(["PUT", "http://localhost/mcp?q=%2F"]);
      return new Response(await request.arrayBuffer());
    };
    const init = { method: "PUT", headers: trusted(), body };
    const { response } = await dispatch(`${MCP}?q=%2F`, init, { scripts: { attic } });
    expect(new Uint8Array(await response.arrayBuffer())).toEqual(body);
  });
});

describe("headers", () => {
  const sent = {
    authorization: "Bearer somebody's",
    "proxy-authorization": "Basic eDp5",
    cookie: "session=1",
    "x-operator-machine": "attic",
    "x-operator-caller": "owner",
    "X-Operator-Error": "machine_unknown",
    "x-operator-report-key": "forged",
    "x-operator-anything": "1",
    "x-operator-mark-end": "1",
    "mcp-session-id": "s1",
    "content-type": "application/json",
  };

  it("of a trusted gate pass if they are meant for the script, and Operator's credentials do not", async () => {
    const { reached } = await dispatch("http://gate.example/mcp", { headers: trusted(sent) });
    expect(Object.fromEntries(reached[0]?.request.headers ?? [])).toEqual({
      "x-operator-caller": "owner",
      "x-operator-mark-end": "1",
      "mcp-session-id": "s1",
      "content-type": "application/json",
    });
  });

  it("of a machine that connects pass with its token, and without anything that would make it a user", async () => {
    const { reached } = await dispatch(LINK, { headers: { ...sent, ...DIAL, authorization: "Bearer somebodys" } });
    expect(Object.fromEntries(reached[0]?.request.headers ?? [])).toEqual({
      authorization: "Bearer somebodys",
      "mcp-session-id": "s1",
      "content-type": "application/json",
      upgrade: "websocket",
    });
  });

  it("that name a machine are believed only from a trusted gate", async () => {
    const { reached } = await dispatch("http://cellar.localhost/link", {
      headers: { ...DIAL, "x-operator-machine": "attic" },
    });
    expect(reached.map(({ slug }) => slug)).toEqual(["cellar"]);
  });
});

describe("a request for the link, which needs no secret,", () => {
  it.each([LINK, "http://attic.localhost/link", "http://localhost/m/cellar/../attic/link"])(
    "reaches the script at %s",
    async (url) => {
      const attic: Script = ({ headers }) => new Response(`I am attic, you are ${headers.get("authorization")}`);
      const { response, reached } = await dispatch(url, { headers: DIAL }, { scripts: { attic } });
      expect(await response.text()).toBe("I am attic, you are Bearer opl_x");
      expect(new URL(reached[0]?.request.url ?? "").pathname).toBe("/link");
    },
  );

  const unauthorized: Script = () => errorResponse({ code: "unauthorized" });

  it("is refused with the same bytes for an unknown machine, a refused token and a missing machine name", async () => {
    const answers: object[] = [];
    for (const slug of ["nobody", "strict", "Not-A-Slug", "api", "..%2fattic"]) {
      const url = `http://localhost/m/${slug}/link`;
      const { response } = await dispatch(url, { headers: DIAL }, { scripts: { strict: unauthorized } });
      answers.push(await seen(response));
    }
    expect(answers[0]).toMatchObject({ status: 401 });
    for (const answer of answers) expect(answer).toEqual(answers[0]);
  });

  it("is refused as slowly for an unknown machine as for a known one with a wrong token", async () => {
    for (const slug of ["nobody", "strict"]) {
      const began = performance.now();
      await dispatch(`http://localhost/m/${slug}/link`, { headers: DIAL }, { scripts: { strict: unauthorized } });
      expect(performance.now() - began, slug).toBeGreaterThanOrEqual(200);
    }
  });

  it.each([
    ["throws", "Cannot read properties of undefined"],
    ["uses too much CPU", "Worker exceeded CPU time limit."],
    ["is being replaced", "Durable Object reset because its code was updated."],
    ["starts slowly", "The script is not running: machine script attic is still starting"],
    ["lost its process", "Network connection lost."],
  ])("to a script that %s is answered with a time to retry instead of a refusal", async (_, message) => {
    const attic: Script = () => Promise.reject(new Error(message));
    const { response } = await dispatch(LINK, { headers: DIAL }, { scripts: { attic } });
    expect([response.status, response.headers.get("retry-after")]).toEqual([503, "1"]);
    expect(await codeOf(response)).toBe("machine_starting");
  });

  it.each<[string, RequestInit & { headers: Record<string, string> }]>([
    ["a POST without an upgrade", { method: "POST", headers: { authorization: "Bearer opl_x" } }],
    ["no token", { headers: { upgrade: "websocket" } }],
    ["neither", { headers: {} }],
    ["what is not a token", { headers: { upgrade: "websocket", authorization: "Basic YTpi" } }],
  ])("with %s is refused without asking any script", async (_, init) => {
    const { response, reached } = await dispatch(LINK, init);
    expect(response.status).toBe(401);
    expect(reached).toEqual([]);
  });

  it("passes on a machine's question about its own status", async () => {
    const attic: Script = ({ method }) => new Response(`${method} from attic`);
    const { response } = await dispatch(LINK, { headers: { authorization: "Bearer opl_x" } }, { scripts: { attic } });
    expect(await response.text()).toBe("GET from attic");
  });

  it("is refused in the same way to a gate with the secret", async () => {
    const { response } = await dispatch("http://localhost/m/nobody/link", { headers: trusted() });
    const { response: without } = await dispatch("http://localhost/m/nobody/link");
    expect(await seen(response)).toEqual(await seen(without));
  });
});

it("the Worker's entry uses this app", async () => {
  const response = await (exports as unknown as { default: Fetcher }).default.fetch("http://localhost/m/attic/mcp");
  expect(response.status).toBe(401);
  expect(await codeOf(response)).toBe("unauthorized");
});
