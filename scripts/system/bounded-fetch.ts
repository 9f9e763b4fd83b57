/** The largest answer that is read. A page of a thousand machines, tokens or entries has a few megabytes. */
const MAX_ANSWER_BYTES = 16 * 1024 * 1024;

/**
 * `fetch` from a server that nobody vouches for: an error instead of a redirect, which would carry a token to an address that was not checked,
 * and an error instead of the end of a body that is larger than `maxBytes`. The caller sets the time limit, which counts for the body as well.
 */
export async function boundedFetch(
  url: string | URL,
  init: RequestInit = {},
  maxBytes = MAX_ANSWER_BYTES,
): Promise<Response> {
  return bounded(await fetch(url, { ...init, redirect: "error" }), maxBytes);
}

/** The same answer, whose body breaks off with an error after so many bytes. */
export function bounded(response: Response, maxBytes = MAX_ANSWER_BYTES): Response {
  if (response.body === null) return response;
  let left = maxBytes;
  const limit = new TransformStream<Uint8Array, Uint8Array>({
    transform(chunk, controller) {
      left -= chunk.length;
      if (left < 0) controller.error(new Error(`the answer is larger than ${maxBytes} bytes`));
      else controller.enqueue(chunk);
    },
  });
  return new Response(response.body.pipeThrough(limit), response);
}
