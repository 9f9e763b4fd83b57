import type { CallToolResult } from "@modelcontextprotocol/server";
import * as z from "zod/mini";
import { detailsOf, OperatorFailure } from "#protocol/error.ts";
import { isRecord, parseJson } from "#protocol/json.ts";
import { runTool } from "../mcp/tools/tools.ts";
import type { PageContext } from "../sign-in/page-context.ts";
import { webCaller } from "./web-caller.ts";

/**
 * How long a page waits for a machine. Somebody looks at an empty screen meanwhile; a machine on the same continent needs a tenth of
 * a second, and one behind a bad mobile connection a few. Milliseconds.
 */
const PAGE_WAIT_MS = 8_000;

/** The largest answer that a page reads. A page of messages of `codez serve` has 256 KB at most. */
const ANSWER_BYTES = 2 * 1024 * 1024;

/** What a machine's tool answered, or why it did not. `message` is a sentence for a person. */
export type MachineAnswer =
  | { readonly told: Record<string, unknown> }
  | { readonly failed: { readonly code: string; readonly message: string } };

const Failure = z.object({ error: z.object({ code: z.string(), message: z.string() }) });

/**
 * Calls a tool of a machine as the unified endpoint does: with its checks, its audit entry, and what the index of sessions knows where
 * the machine cannot be asked. Never throws for what a machine does.
 */
export async function callMachineTool(
  c: PageContext,
  name: string,
  args: Record<string, unknown>,
  {
    waitMs = PAGE_WAIT_MS,
    answerBytes = ANSWER_BYTES,
  }: { readonly waitMs?: number; readonly answerBytes?: number } = {},
): Promise<MachineAnswer> {
  const timeout = AbortSignal.timeout(waitMs);
  try {
    const result = await runTool({
      env: c.env,
      caller: webCaller(c.var.session),
      digest: () => null,
      name,
      args,
      meta: undefined,
      progress: false,
      signal: AbortSignal.any([c.req.raw.signal, timeout]),
      onNotification: () => Promise.resolve(),
      answerBytes,
    });
    return answerIn(result as CallToolResult); // only a call with `elicit` has to ask something first
  } catch (reason) {
    if (timeout.aborted)
      return { failed: { code: "machine_timeout", message: `The machine did not answer within ${waitMs / 1_000} s.` } };
    if (reason instanceof OperatorFailure) return { failed: forPerson(detailsOf(reason.error)) };
    // A JSON-RPC error of the machine's own server, whose message is the machine's.
    const message = reason instanceof Error ? reason.message : String(reason);
    return { failed: { code: "machine_failed", message } };
  }
}

function answerIn({ isError, structuredContent, content }: CallToolResult): MachineAnswer {
  const first = Array.isArray(content) ? content[0] : undefined;
  const text = first?.type === "text" ? first.text : "";
  if (isError === true) {
    const failure = Failure.safeParse(structuredContent);
    return { failed: failure.success ? forPerson(failure.data.error) : { code: "machine_failed", message: text } };
  }
  const told = structuredContent ?? parseJson(text);
  return isRecord(told)
    ? { told }
    : { failed: { code: "machine_failed", message: "The machine's answer is not JSON." } };
}

type Failed = { readonly code: string; readonly message: string };

/** The message of an error is for a program, which wants the exact time and the command. A person reads a page, often on a phone. */
function forPerson({ code, message }: Failed): Failed {
  if (code !== "machine_offline") return { code, message };
  return { code, message: "This machine is offline. Wake it, or run codez up (or codez connect) on it." };
}
