import type { CallToolResult } from "@modelcontextprotocol/server";
import { waitUntil } from "cloudflare:workers";
import { isRecord, parseJson } from "#protocol/json.ts";
import { registryOf } from "../../user/user-rpc.ts";
import { withSessionHandles } from "../session-result.ts";
import { callTool } from "./relayed-call.ts";
import type { ToolCall } from "./tool.ts";

/** Tools whose answers contain sessions, which are added to the index of sessions. */
const TELLS: ReadonlySet<string> = new Set(["list_sessions", "create_session", "fork_session", "get_session"]);

/** The fields of a session that the index stores. */
const FIELDS = [
  "session_id",
  "id",
  "slug",
  "cwd",
  "title",
  "status",
  "busy",
  "model",
  "created_at_ms",
  "updated_at_ms",
  "cost_usd",
];

/** Longer values are no titles or paths, and would only be thrown away later. */
const MAX_FIELD_CHARACTERS = 2_000;

/** Sessions of one answer: the largest page of a machine's `list_sessions`. */
const MAX_SESSIONS = 500;

/** An answer that is only text is looked at up to this size. */
const MAX_TEXT_CHARACTERS = 512 * 1024;

/** Relays a call to the machine's tool of the same name, and lets the index of sessions learn from the answer. */
export async function relayAndLearn(
  call: ToolCall,
  machine: string,
  args: Record<string, unknown>,
  session: string | null,
): Promise<CallToolResult> {
  const result = await callTool(call, machine, call.name, args);
  const told = TELLS.has(call.name) ? sessionsIn(result) : [];
  if (told.length > 0)
    waitUntil(
      Promise.resolve(registryOf(call.env, call.caller.user).learnSessions(machine, told)).catch((reason: unknown) =>
        // The answer itself has arrived. The session is learnt with its next event.
        console.warn("the index of sessions was not told of an answer", { machine, reason: String(reason) }),
      ),
    );
  return withSessionHandles(result, machine, call.name, session);
}

function sessionsIn({ isError, structuredContent, content }: CallToolResult): Record<string, unknown>[] {
  if (isError === true) return [];
  const [first] = Array.isArray(content) ? content : [];
  const isText = first?.type === "text" && first.text.length <= MAX_TEXT_CHARACTERS;
  const told = structuredContent ?? (isText ? parseJson(first.text) : null);
  if (!isRecord(told)) return [];
  const sessions = Array.isArray(told["sessions"]) ? (told["sessions"] as unknown[]) : [told["session"] ?? told];
  // A list of a project's sessions names the project once.
  const slug = typeof told["slug"] === "string" ? { slug: told["slug"] } : {};
  return sessions
    .slice(0, MAX_SESSIONS)
    .flatMap((session) => (isRecord(session) ? [{ ...slug, ...fieldsOf(session) }] : []));
}

function fieldsOf(session: Record<string, unknown>): Record<string, unknown> {
  const fields: Record<string, unknown> = {};
  for (const name of FIELDS) {
    const value = session[name];
    if (typeof value === "string") fields[name] = value.slice(0, MAX_FIELD_CHARACTERS);
    else if (typeof value === "number" || typeof value === "boolean") fields[name] = value;
  }
  return fields;
}
