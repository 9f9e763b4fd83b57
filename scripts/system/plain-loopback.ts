/**
 * An Operator's address with 127.0.0.1 for `localhost`. An Operator without TLS listens there alone, and `localhost` may also resolve to `[::1]`, where
 * another user's program may listen. Any other address is returned unchanged.
 */
export function plainLoopback(address: string): string {
  const url = new URL(address);
  if (url.protocol !== "http:" || url.hostname !== "localhost") return address;
  url.hostname = "127.0.0.1";
  return url.origin;
}
