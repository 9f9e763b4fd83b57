// Root cause: most routes read a request's whole body, whatever its size, and many before they knew the caller. Three bodies of 300 MB from a
// stranger took 12 GB of memory.
import { expect, onTestFinished, test, vi } from "vitest";
import { randomSecret } from "#protocol/bytes.ts";
import { withBody } from "../../../control-api/src/http/body-within.ts";
import { codeOf, knock, ORIGIN, TestUser } from "../../control-api/support/operator.ts";

const MB = 1024 * 1024;

/** More than any of them may have. What is read of it is counted. */
class LargeBody {
  readBytes = 0;
  readonly stream = new ReadableStream<Uint8Array>({
    pull: (controller) => {
      this.readBytes += MB;
      controller.enqueue(new Uint8Array(MB).fill(97));
      if (this.readBytes >= 40 * MB) controller.close();
    },
  });
}

const FORM = { "content-type": "application/x-www-form-urlencoded" };
const JSON_BODY = { "content-type": "application/json" };

const STRANGERS: [string, Record<string, string>][] = [
  ["/oauth/token", FORM],
  ["/oauth/register", JSON_BODY],
  ["/oauth/device_authorization", FORM],
  ["/sign-in", { ...FORM, origin: ORIGIN }],
  ["/sign-in/passkey", JSON_BODY],
  ["/sign-in/confirm", FORM],
  ["/claim", { ...FORM, origin: ORIGIN }],
  ["/invite", { ...FORM, origin: ORIGIN }],
  ["/sign-out", FORM],
  ["/pair", FORM],
  ["/account/tokens", FORM],
  ["/api/claim", JSON_BODY],
  ["/api/enrolments", { ...JSON_BODY, authorization: `Bearer ope_owner_${randomSecret()}` }],
  ["/inbox", FORM],
  ["/sessions/new", FORM],
  ["/sessions/attic/s1/prompt", FORM],
  ["/nowhere", FORM],
];

test.each(STRANGERS)("of a stranger's large body to %s hardly more than the limit is read", async (path, headers) => {
  const body = new LargeBody();
  const response = await knock(`${ORIGIN}${path}`, { method: "POST", headers, body: body.stream });
  expect(response.status).toBe(400);
  // The limit, what streams read ahead, and what is discarded of the rest so that the connection can be used again.
  expect(body.readBytes).toBeLessThan(8 * MB);
});

const ROUTES: [string, string][] = [
  ["POST", "/api/machines"],
  ["PATCH", "/api/machines/attic"],
  ["POST", "/api/tokens"],
  ["POST", "/api/keys"],
  ["POST", "/api/webhooks"],
  ["POST", "/api/rollout"],
  ["PUT", "/api/servers/weather"],
  ["PUT", "/api/servers/weather/secrets/KEY"],
];

test.each(ROUTES)("nor is a large body read of a token's holder at %s %s", async (method, path) => {
  const body = new LargeBody();
  const response = await new TestUser().fetch(path, { method, headers: JSON_BODY, body: body.stream });
  expect([400, 404]).toContain(response.status);
  expect(body.readBytes).toBeLessThan(8 * MB);
});

test("of a body that states a length beyond the limit nothing is read", async () => {
  const body = new LargeBody();
  const request = new Request(ORIGIN, {
    method: "POST",
    headers: { "content-length": String(2 * MB) },
    body: body.stream,
  });
  const refused = await withBody(request, { address: "192.0.2.1", network: "192.0.2.1", share: 1 });
  expect(refused).toBeInstanceOf(Response);
  expect(body.readBytes).toBeLessThanOrEqual(MB); // what a stream reads ahead
});

test("a body that states a length beyond the limit is refused, and one within it is taken in chunks as well", async () => {
  const user = new TestUser();
  const large = await user.fetch("/api/machines", { method: "POST", headers: JSON_BODY, body: "x".repeat(2 * MB) });
  expect(await codeOf(large)).toBe("invalid_request");
  const small = new Blob([JSON.stringify({ name: "attic", identity: "identity-of-attic" })]).stream();
  expect((await user.fetch("/api/machines", { method: "POST", headers: JSON_BODY, body: small })).status).toBe(201);
});

test.each([
  ["application/x-www-form-urlencoded", "a&".repeat(400_000)],
  ["multipart/form-data; boundary=b", "--b\r\nContent-Disposition: form-data; name=a\r\n\r\n\r\n".repeat(10_000)],
])("a stranger's form of a great many fields (%s) is refused before it is taken apart", async (type, body) => {
  const taken = vi.spyOn(Request.prototype, "formData");
  onTestFinished(() => taken.mockRestore());
  const headers = { "content-type": type, origin: ORIGIN };
  const response = await knock(`${ORIGIN}/sign-in`, { method: "POST", headers, body });
  expect(response.status).toBe(400);
  expect(taken).not.toHaveBeenCalled();
});
