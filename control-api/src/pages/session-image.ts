import { isRecord } from "#protocol/json.ts";
import type { PageContext } from "../sign-in/page-context.ts";
import { imageTypeOf, MAX_IMAGE_CHARACTERS } from "./conversation/image.ts";
import { callMachineTool } from "./machine-call.ts";

/** A machine's answer has the image twice, in its structured content and as text, and a little around it. */
const ANSWER_BYTES = 2 * MAX_IMAGE_CHARACTERS + 64 * 1024;

/** An image of a transcript never changes, but another person may use this browser next. An hour. Seconds. */
const KEPT_S = 3_600;

/**
 * `GET /sessions/:machine/:session/image?handle=`: one image of a conversation, as bytes. Its kind is told by its bytes and by nothing
 * else, and a browser that opens it alone may run nothing in it.
 */
export async function sessionImage(c: PageContext): Promise<Response> {
  const [machine, session] = [c.req.param("machine") ?? "", c.req.param("session") ?? ""];
  const handle = c.req.query("handle") ?? "";
  const asked = { session_id: `${machine}/${session}`, handle };
  const answer = await callMachineTool(c, "get_session", asked, { answerBytes: ANSWER_BYTES });
  const part = "told" in answer ? answer.told["part"] : null;
  const data = isRecord(part) && typeof part["data"] === "string" ? part["data"] : null;
  const bytes = data === null || data.length > MAX_IMAGE_CHARACTERS ? null : bytesOf(data);
  const type = bytes === null ? null : imageTypeOf(bytes);
  if (bytes === null || type === null) return new Response("This image cannot be shown.\n", { status: 404 });
  return new Response(bytes, {
    headers: {
      "content-type": type,
      "cache-control": `private, max-age=${KEPT_S}`,
      "content-security-policy": "default-src 'none'; sandbox",
      "x-content-type-options": "nosniff",
      "cross-origin-resource-policy": "same-origin",
      "content-disposition": "inline",
    },
  });
}

/** `null` for what is no Base64. */
function bytesOf(data: string): Uint8Array<ArrayBuffer> | null {
  try {
    return Uint8Array.from(atob(data), (sign) => sign.charCodeAt(0));
  } catch {
    // The machine's word: whatever it is, it is no image.
    return null;
  }
}
