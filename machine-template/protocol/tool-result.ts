/** Results of `tools/call` that Operator and `codez serve` produce themselves: the same content as text and as data. */
export type ToolResult = {
  [key: string]: unknown;
  content: { type: "text"; text: string }[];
  structuredContent: Record<string, unknown>;
  isError?: boolean;
};

/** A result with its data in `structuredContent`, and as text for clients that do not support structured content. */
export function structuredResult(structuredContent: Record<string, unknown>): ToolResult {
  return { content: [{ type: "text", text: JSON.stringify(structuredContent) }], structuredContent };
}

/**
 * An error as a tool result. All tools use this format: the text is `code: message`, and `structuredContent.error` has code,
 * message, retryable and the evidence of that code.
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
