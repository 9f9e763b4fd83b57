/**
 * The same request without a body that means nothing: that of GET or HEAD (RFC 9110 sections 9.3.1 and 9.3.2). workerd counts a `Content-Length`
 * of 0 as a body, too, which some clients and proxies send, and makes no such request itself.
 */
export function withoutStrayBody(request: Request): Request {
  const { method, url, signal } = request;
  if ((method !== "GET" && method !== "HEAD") || request.body === null) return request;
  const headers = new Headers(request.headers);
  headers.delete("content-length");
  headers.delete("transfer-encoding");
  return new Request(url, { method, headers, signal, redirect: "manual" });
}
