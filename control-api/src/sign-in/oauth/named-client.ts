import { fromBase64 } from "#protocol/bytes.ts";
import { isRecord, parseJson } from "#protocol/json.ts";

/**
 * The client that a token request names, as the library finds it: by Basic credentials, by `client_id`, or by who signed an assertion. `null`
 * if it names none. Proves nothing. The library fetches the document of a client whose id is a URL, so a way that was forgotten here would
 * let a stranger have it fetch without a limit.
 */
export function namedClient(body: URLSearchParams, authorization: string | null): string | null {
  const basic = /^basic[ \t]+(\S+)[ \t]*$/i.exec(authorization ?? "")?.[1];
  if (basic !== undefined) return userOf(basic);
  return body.get("client_id") || issuerOf(body.get("client_assertion") ?? ""); // an empty one counts as none
}

/** The name in Basic credentials, in which it is encoded as in a form (RFC 6749 section 2.3.1). */
function userOf(credentials: string): string | null {
  try {
    const [user = ""] = atob(credentials).split(":", 1);
    return decodeURIComponent(user.replaceAll("+", " "));
  } catch {
    return null; // the library refuses them, too
  }
}

/** Who says to have signed a JWT (RFC 7523). */
function issuerOf(assertion: string): string | null {
  const [, claims = ""] = assertion.split(".", 2);
  try {
    const parsed = parseJson(new TextDecoder().decode(fromBase64(claims)));
    return isRecord(parsed) && typeof parsed["iss"] === "string" ? parsed["iss"] : null;
  } catch {
    return null;
  }
}
