import type { IncomingMessage } from "node:http";
import type { Http2ServerRequest } from "node:http2";

/**
 * How the gate can tell where a request's body ends: there is none, it has so many bytes, or it is chunked.
 *
 * The front parses every request and writes it anew, on connections to the gate that requests of different people use one after
 * another. If a body went out without its framing, the gate would read it as the connection's next request, with headers that a
 * stranger chose, and the next person's request would become a part of it (request smuggling). So framing is neither copied from the
 * client's headers nor left to Node, which adds none to GET, HEAD, DELETE, OPTIONS and TRACE: those have a body, too, if a client says so.
 */
export type Framing =
  | { readonly kind: "none" }
  | { readonly kind: "length"; readonly bytes: string }
  | { readonly kind: "chunked" };

/** @param incoming a request that Node's parser accepted, so its own framing is unambiguous (RFC 9112 section 6.3, RFC 9113 section 8.1.1) */
export function framingOf(incoming: IncomingMessage | Http2ServerRequest): Framing {
  const { headers } = incoming;
  const bytes = headers["content-length"];
  if ("stream" in incoming && incoming.stream.endAfterHeaders)
    return bytes === undefined ? { kind: "none" } : { kind: "length", bytes: "0" };
  if (headers["transfer-encoding"] !== undefined) return { kind: "chunked" };
  if (bytes !== undefined) return { kind: "length", bytes };
  return "stream" in incoming ? { kind: "chunked" } : { kind: "none" };
}

/** The headers that state it. */
export function framingHeaders(framing: Framing): string[] {
  switch (framing.kind) {
    case "none":
      return [];
    case "length":
      return ["content-length", framing.bytes];
    case "chunked":
      return ["transfer-encoding", "chunked"];
  }
}
