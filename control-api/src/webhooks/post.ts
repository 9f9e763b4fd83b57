import type { DeliveryFault } from "../mcp-events/events-error.ts";
import { MAX_ANSWER_BYTES, POST_TIMEOUT_MS } from "./limits.ts";

/** A receiver's answer. Only the category of a failure is kept: nothing else of an answer may reach a subscriber. */
export type Posted =
  | { readonly ok: true; readonly text: string }
  | { readonly ok: false; readonly fault: DeliveryFault; readonly status: number | null };

const AGENT = "Operator-Webhooks";

/**
 * Sends one message to a receiver. Redirects are not followed: one could lead from a public host to a private one. The time limit
 * covers the whole answer.
 *
 * @param wantsText whether the answer's text is of interest; otherwise its body is not read
 */
export async function post(
  url: string,
  body: string | Uint8Array,
  headers: Readonly<Record<string, string>>,
  wantsText = false,
): Promise<Posted> {
  // Not AbortSignal.timeout(): its timer would keep the object in memory, and billed, long after the answer.
  const controller = new AbortController();
  const timer = setTimeout(() => controller.abort(new Error("the receiver took too long")), POST_TIMEOUT_MS);
  const { signal } = controller;
  try {
    const response = await fetch(url, {
      method: "POST",
      body,
      headers: { "content-type": "application/json", "user-agent": AGENT, ...headers },
      redirect: "manual",
      signal,
    });
    const { status } = response;
    if (!response.ok || !wantsText) await response.body?.cancel();
    // A redirect counts as the receiver's mistake.
    if (!response.ok) return { ok: false, fault: status >= 500 ? "http_5xx" : "http_4xx", status };
    return { ok: true, text: wantsText ? await textOf(response, signal) : "" };
  } catch (reason) {
    return { ok: false, fault: faultOf(reason, signal), status: null };
  } finally {
    clearTimeout(timer);
  }
}

/** The beginning of an answer's text. */
async function textOf(response: Response, signal: AbortSignal): Promise<string> {
  if (response.body === null) return "";
  const decoder = new TextDecoder();
  const reader = response.body.getReader();
  const cut = (): void => void reader.cancel(signal.reason).catch(() => undefined); // it has ended already
  signal.addEventListener("abort", cut, { once: true });
  let text = "";
  let bytes = 0;
  try {
    while (bytes <= MAX_ANSWER_BYTES) {
      const { done, value } = await reader.read();
      signal.throwIfAborted();
      if (done) return text + decoder.decode();
      bytes += value.length;
      text += decoder.decode(value, { stream: true });
    }
    await reader.cancel();
    return text;
  } finally {
    signal.removeEventListener("abort", cut);
  }
}

function faultOf(reason: unknown, signal: AbortSignal): DeliveryFault {
  if (signal.aborted) return "timeout";
  // The runtime has no codes for these; its message names the protocol or the certificate.
  return /\b(?:tls|ssl|certificate)\b/i.test(String(reason)) ? "tls_error" : "connection_refused";
}
