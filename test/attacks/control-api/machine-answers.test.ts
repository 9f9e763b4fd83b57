/**
 * Root cause: a machine's answer was passed on as it came, from Operator's own origin, so that a machine could redirect a
 * client to another path of it, or run a page there. Now one list says what may pass, and all else is dropped or an error.
 */
import { beforeEach, describe, expect, it } from "vitest";
import { filtered, mayPass } from "../../../control-api/src/machines/response-filter.ts";
import { codeOf, knock, ORIGIN, TestUser } from "../../control-api/support/operator.ts";

const JSON_TYPE = { "content-type": "application/json" };

let user: TestUser;
let urls: string[];

beforeEach(async () => {
  user = new TestUser();
  await user.machine("attic");
  const slug = await user.slug("attic");
  urls = [`${ORIGIN}/m/${slug}/mcp`, `http://${slug}.localhost:8787/mcp`];
});

type Planned = { status?: number; headers?: Record<string, string>; body?: string };

/** What a client gets at the machine's URL by path; the one by host must answer the same. */
async function answerTo(planned: Planned, init: RequestInit = { method: "POST", body: "{}" }): Promise<Response> {
  const answer = { body: "", ...planned };
  await user.script("attic", { answers: { "POST /mcp": answer, "GET /mcp": answer, "DELETE /mcp": answer } });
  const answers = [];
  for (const url of urls) answers.push(await knock(url, { redirect: "manual", ...init }, { LOOPBACK_OWNER: user.id }));
  const [byPath, byHost] = answers as [Response, Response];
  expect([byHost.status, [...byHost.headers]]).toEqual([byPath.status, [...byPath.headers]]);
  await byHost.body?.cancel();
  return byPath;
}

describe("a redirect from a machine", () => {
  it.each([300, 301, 302, 303, 304, 305, 307, 308, 399])("with status %i does not reach the client", async (status) => {
    const response = await answerTo({ status, headers: { ...JSON_TYPE, location: "/api/machines/cellar" } });
    expect(response.status).toBe(502);
    expect(response.headers.get("location")).toBeNull();
    expect(await codeOf(response)).toBe("machine_failed");
  });
});

describe("an answer of a hosted server", () => {
  it("is no WebSocket", async () => {
    const { 0: client } = new WebSocketPair();
    const response = filtered(new Response(null, { status: 101, webSocket: client }), "attic");
    expect([response.status, response.webSocket, await codeOf(response)]).toEqual([502, null, "machine_failed"]);
  });

  it.each(["-5", "+5", "5, 5", "0x5", "1e3", " ", "5 5"])("has no length of %j", (length) => {
    const { headers } = filtered(new Response(null, { headers: { ...JSON_TYPE, "content-length": length } }), "attic");
    expect(headers.get("content-length")).toBeNull();
  });

  it("keeps a length, which is all that an answer to HEAD says of its body", () => {
    const { headers } = filtered(new Response(null, { headers: { ...JSON_TYPE, "content-length": "36" } }), "attic");
    expect(headers.get("content-length")).toBe("36");
  });
});

describe("content from a machine", () => {
  it.each([
    "text/html",
    "text/html; charset=utf-8",
    "TEXT/HTML",
    "application/xhtml+xml",
    "image/svg+xml",
    "text/xml",
    "text/javascript",
    "application/javascript",
    "text/plain",
    "application/pdf",
    "application/octet-stream",
    "multipart/x-mixed-replace; boundary=x",
    "application/json, text/html",
    "application/json;, text/html",
    'application/json; a="b, text/html"',
    "application/jsonp",
    "text/event-stream-html",
    "application/json+html",
    // To read it as a content type takes time that grows with the square of its length.
    `application/json${" ".repeat(300)}; charset=utf-8`,
    "nonsense",
  ])("of type %j does not reach the client", async (type) => {
    const response = await answerTo({ headers: { "content-type": type }, body: "<script>alert(1)</script>" });
    expect(response.status).toBe(502);
    expect(response.headers.get("content-type")).toBe("application/json");
    expect(await response.text()).not.toContain("<script>");
  });

  it("of another type is removed from an error, whose status reaches the client", async () => {
    for (const status of [400, 404, 405, 500]) {
      const headers = { "content-type": "text/html", "mcp-session-id": "s" };
      const response = await answerTo({ status, headers, body: "<script>" });
      expect([response.status, await codeOf(response)]).toEqual([status, "machine_failed"]);
      expect(response.headers.get("mcp-session-id")).toBe("s");
    }
  });

  it.each([
    "application/json",
    "application/json; charset=utf-8",
    "text/event-stream",
    "text/event-stream;charset=utf-8",
  ])("of type %j reaches the client byte for byte", async (type) => {
    const body = '{ "id":12345678901234567890,\t"a":1.0 }\n\n';
    const response = await answerTo({ headers: { "content-type": type }, body });
    expect([response.status, response.headers.get("content-type"), await response.text()]).toEqual([200, type, body]);
  });

  it("always has headers that make it harmless when opened as a page", async () => {
    for (const planned of [
      { headers: JSON_TYPE, body: '{"x":"<script>alert(1)</script>"}' },
      { headers: { "content-type": "text/event-stream" }, body: "data: <script>alert(1)</script>\n\n" },
      { headers: { "content-type": "text/html" }, body: "<script>" },
      { headers: {}, body: "<script>" },
      { status: 404, headers: JSON_TYPE, body: "{}" },
    ]) {
      const { headers } = await answerTo(planned);
      expect(headers.get("x-content-type-options")).toBe("nosniff");
      expect(headers.get("content-security-policy")).toBe("sandbox; default-src 'none'; frame-ancestors 'none'");
      expect(headers.get("content-disposition")).toMatch(/^attachment/);
      expect(headers.get("cross-origin-resource-policy")).toBe("same-origin");
      expect(headers.get("referrer-policy")).toBe("no-referrer");
      expect(headers.get("content-type")).toMatch(/^(application\/json|text\/event-stream)/);
    }
  });
});

describe("a header from a machine", () => {
  const POWER = {
    "service-worker-allowed": "/",
    "clear-site-data": '"*"',
    "report-to": "{}",
    "reporting-endpoints": 'x="https://evil.example"',
    nel: "{}",
    refresh: "0; url=https://evil.example",
    link: "</x>; rel=preload",
    "set-login": "logged-in",
    "set-cookie": "a=1",
    "content-security-policy": "default-src *",
    "content-security-policy-report-only": "default-src *; report-uri https://evil.example",
    "content-disposition": "inline",
    "content-location": "/api",
    "strict-transport-security": "max-age=0",
    "permissions-policy": "x=*",
    "origin-agent-cluster": "?0",
    "origin-trial": "x",
    "accept-ch": "x",
    "alt-svc": 'h2="evil.example:443"',
    "access-control-allow-origin": "*",
    "access-control-allow-credentials": "true",
    "cross-origin-opener-policy": "unsafe-none",
    "cross-origin-resource-policy": "cross-origin",
    "document-policy": "x",
    "timing-allow-origin": "*",
    "www-authenticate": "Basic",
    sourcemap: "https://evil.example",
    "speculation-rules": '"https://evil.example"',
    "x-accel-redirect": "/etc/passwd",
    "x-sendfile": "/etc/passwd",
    "x-frame-options": "ALLOWALL",
    "x-content-type-options": "sniff",
    "x-sourcemap": "https://evil.example",
    "x-permitted-cross-domain-policies": "all",
    "x-content-security-policy": "default-src *",
    "x-webkit-csp": "default-src *",
    "x-operator-caller": "owner",
    "referrer-policy": "unsafe-url",
    etag: '"x"',
    expires: "Thu, 01 Dec 2099 16:00:00 GMT",
    vary: "*",
    location: "/",
  };

  it("is dropped if it affects an origin, a cache or a proxy", async () => {
    const { headers } = await answerTo({ headers: { ...JSON_TYPE, ...POWER }, body: "{}" });
    for (const [name, value] of Object.entries(POWER)) expect([name, headers.get(name)]).not.toEqual([name, value]);
  });

  it("is dropped if it is not on a list", () => {
    expect(["priority", "no-vary-search", "server-timing", "set-anything", "brand-new"].filter(mayPass)).toEqual([]);
  });

  it("passes if it belongs to MCP or is the server's own", async () => {
    const own = {
      "mcp-session-id": "s",
      "mcp-some-day": "x, y",
      "retry-after": "3",
      allow: "POST",
      "x-request-id": "7",
      "x-accel-buffering": "no",
      traceparent: "00-1-2-01",
      "cache-control": "no-cache, no-transform",
    };
    const { headers } = await answerTo({ headers: { ...JSON_TYPE, ...own }, body: "{}" });
    expect(Object.fromEntries(headers)).toMatchObject(own);
  });

  it("is replaced if it lets a cache give the answer to others", async () => {
    for (const value of [
      "public, max-age=31536000",
      "s-maxage=9",
      "no-cache, public",
      "public",
      "immutable",
      "max-age=1",
    ]) {
      const { headers } = await answerTo({ headers: { ...JSON_TYPE, "cache-control": value }, body: "{}" });
      expect(headers.get("cache-control")).toBe("no-store");
    }
  });
});

describe("what the transport needs still passes", () => {
  it.each([202, 204])("an empty %i, with its session", async (status) => {
    const response = await answerTo({ status, headers: { "mcp-session-id": "s" } });
    expect([response.status, response.headers.get("mcp-session-id"), await response.text()]).toEqual([status, "s", ""]);
  });

  it("a 202, without its text", async () => {
    const response = await answerTo({ status: 202, headers: { "content-type": "text/plain" }, body: "Accepted" });
    expect([response.status, response.headers.get("content-type"), await response.text()]).toEqual([202, null, ""]);
  });

  it("the 404 of a lost session and the 405 of a missing stream", async () => {
    for (const status of [404, 405]) {
      const response = await answerTo({ status, headers: JSON_TYPE, body: '{"error":{}}' });
      expect([response.status, await response.text()]).toEqual([status, '{"error":{}}']);
    }
  });
});

describe("a request from a browser to an endpoint", () => {
  it.each([
    { "sec-fetch-mode": "navigate", "sec-fetch-dest": "document" },
    { "sec-fetch-mode": "navigate", "sec-fetch-dest": "iframe" },
    { "sec-fetch-mode": "no-cors", "sec-fetch-dest": "object" },
    { "sec-fetch-mode": "no-cors", "sec-fetch-dest": "script" },
    { "sec-fetch-mode": "same-origin", "sec-fetch-dest": "serviceworker" },
    { "sec-fetch-mode": "same-origin", "sec-fetch-dest": "worker" },
    { "sec-fetch-mode": "no-cors", "sec-fetch-dest": "image" },
    { "sec-fetch-dest": "document" },
    { "sec-fetch-mode": "navigate" },
  ])("is refused without asking the machine when a person opens it as a page: %j", async (headers) => {
    for (const url of [...urls, `${ORIGIN}/mcp`])
      for (const method of ["GET", "POST"]) {
        const response = await knock(url, { method, headers: headers as never }, { LOOPBACK_OWNER: user.id });
        expect([url, response.status]).toEqual([url, 403]);
        expect(response.headers.get("content-security-policy")).toMatch(/^sandbox/);
      }
    expect(await user.reached("attic")).toEqual([]);
  });

  it("is allowed for a program in a page (fetch, EventSource)", async () => {
    const headers = { "sec-fetch-mode": "cors", "sec-fetch-dest": "empty" };
    const response = await answerTo({ headers: JSON_TYPE, body: "{}" }, { method: "POST", headers, body: "{}" });
    expect(response.status).toBe(200);
  });
});

it("the answers of /mcp and /api are harmless as a page too", async () => {
  for (const path of ["/mcp", "/api/machines", "/api/nothing"]) {
    const { headers } = await user.fetch(path);
    expect([path, headers.get("x-content-type-options")]).toEqual([path, "nosniff"]);
    expect(headers.get("content-security-policy")).toMatch(/^sandbox/);
  }
});
