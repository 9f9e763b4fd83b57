import { errorResponse } from "#protocol/error.ts";

/** The answer to a caller nobody knows. */
export function unauthorized(): Response {
  const response = errorResponse({ code: "unauthorized" });
  response.headers.set("www-authenticate", "Bearer");
  return response;
}
