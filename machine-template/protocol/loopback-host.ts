/** Whether a URL's hostname is this computer's own loopback address, or one of the names for it (RFC 6761, section 6.3). */
export function isLoopbackHost(hostname: string): boolean {
  return (
    hostname === "127.0.0.1" || hostname === "[::1]" || hostname === "localhost" || hostname.endsWith(".localhost")
  );
}
