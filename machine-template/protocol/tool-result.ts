/** Results of `tools/call` that Operator and `codez serve` make themselves: the same content as text and as data. */
export type ToolResult = {
  [key: string]: unknown;
  content: { type: "text"; text: string }[];
  structuredContent: Record<string, unknown>;
  isError?: boolean;
};

/** A result that a program reads from `structuredContent`, and a model of a client without it from the text. */
export function structuredResult(structuredContent: Record<string, unknown>): ToolResult {
  return { content: [{ type: "text", text: JSON.stringify(structuredContent) }], structuredContent };
}

/**
 * An error as a tool's result, the one format for it everywhere: the text is `code: message`, and
 * `structuredContent.error` has code, message, retryable and the evidence of that code.
 */
export function errorResult(
  details: { code: string; message: string; retryable: boolean } & Record<string, unknown>,
): ToolResult {
  return {
    isError: true,
    content: [{ type: "text", text: `${details.code}: ${details.message}` }],
    structuredContent: { error: details },
  };
}
