/**
 * The MCP SDK's client, loaded when it is first needed: evaluating its schemas takes longer than most commands of `codez` and `operator` run.
 */
export function mcpClient(): Promise<typeof import("@modelcontextprotocol/client")> {
  return import("@modelcontextprotocol/client");
}
