import { parseJson } from "#protocol/json.ts";
import * as z from "zod";

/** The SDK puts whole answers of a server into its messages: HTTP bodies, for example. This is enough to recognise one. */
const MAX_CHARACTERS = 300;

/** What the SDK says of an answer that its schemas refuse: the method, and Zod's issues in JSON over many lines. */
const INVALID_RESULT = /^Invalid result for ([\w/]{1,64}): (\[.*\])$/s;

/** Issues where the answer is no message at all. */
const NO_MESSAGE = /^(?:[\w ]{1,64}: )?\[\s*\{\s*"/;

const Issues = z.tuple(
  [z.object({ path: z.array(z.union([z.string(), z.number()])), message: z.string() })],
  z.unknown(),
);

/** Why an MCP client of ours could not go on: a sentence of bounded length about the server, which may be no MCP server at all. */
export function mcpFailure(reason: unknown): string {
  const message = reason instanceof Error ? reason.message : String(reason);
  const [, method = "", issues = ""] = INVALID_RESULT.exec(message) ?? [];
  if (method !== "") return `it is not an MCP server: its answer to ${method} ${problemIn(issues)}`;
  if (NO_MESSAGE.test(message)) return "it is not an MCP server: its answer is no JSON-RPC message";
  return message.length > MAX_CHARACTERS ? `${message.slice(0, MAX_CHARACTERS)}…` : message;
}

function problemIn(issues: string): string {
  const parsed = Issues.safeParse(parseJson(issues));
  if (!parsed.success) return "is not one of MCP";
  const [{ path, message }] = parsed.data;
  const field = path.join(".").slice(0, MAX_CHARACTERS);
  if (field === "") return "is not one of MCP";
  return message.endsWith("received undefined") ? `has no ${field}` : `has another ${field} than MCP says`;
}
