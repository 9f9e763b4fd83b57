import { expect, it } from "vitest";
import { requestHeaders, responseHeaders } from "../../../scripts/front/edge-headers.ts";

const EDGE = { host: "operator.test", scheme: "https", client: "203.0.113.7" } as const;
const ADDED = ["host", "operator.test", "x-forwarded-proto", "https", "cf-connecting-ip", "203.0.113.7"];

it("a client's claims about itself and its route are replaced by what the front knows", () => {
  const claims = [
    "CF-Connecting-IP", "127.0.0.1", "cf-ray", "1", "X-Forwarded-For", "127.0.0.1", "X-Forwarded-Proto", "http",
    "x-forwarded-host", "evil.test", "Forwarded", "for=127.0.0.1", "X-Real-IP", "127.0.0.1", "Via", "1.1 evil",
    "X-Operator-Caller", "owner", "x-operator-secret", "guess", "MF-CF-Blob", "{}", "Host", "evil.test",
  ]; // prettier-ignore
  expect(requestHeaders(claims, EDGE)).toEqual(ADDED);
});

it("hop-by-hop headers are removed, including those that Connection names", () => {
  const raw = ["Connection", "keep-alive, X-Hop", "X-Hop", "1", "TE", "trailers", "Upgrade", "h2c", "Keep-Alive", "5"];
  expect(requestHeaders(raw, EDGE)).toEqual(ADDED);
});

it("everything else passes unchanged: order, letter case and repetition", () => {
  const raw = ["Mcp-Session-Id", "a", "authorization", "Bearer x", "Accept", "one", "Accept", "two", "X-New", "ü"];
  expect(requestHeaders(raw, EDGE)).toEqual([...raw, ...ADDED]);
});

it("cookies that a browser split over several fields are one field again", () => {
  const raw = ["cookie", "a=1", "accept", "x", "cookie", "b=2", "Cookie", "c=3"];
  expect(requestHeaders(raw, EDGE)).toEqual(["cookie", "a=1; b=2; c=3", "accept", "x", ...ADDED]);
});

it("an answer's repeated headers stay separate", () => {
  const raw = ["Set-Cookie", "a=1", "set-cookie", "b=2", "Connection", "close", "Content-Type", "text/html"];
  expect({ ...responseHeaders(raw) }).toEqual({ "set-cookie": ["a=1", "b=2"], "content-type": ["text/html"] });
});

it("an answer's headers may have the names of what every object has", () => {
  const raw = ["Constructor", "a", "__proto__", "b", "toString", "c"];
  expect(Object.entries(responseHeaders(raw))).toEqual([
    ["constructor", ["a"]],
    ["__proto__", ["b"]],
    ["tostring", ["c"]],
  ]);
});
