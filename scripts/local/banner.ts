/** What a person sees once everything runs. */
export function banner({ url, stateDir }: { readonly url: string; readonly stateDir: string }): string {
  return `
Operator is running. MCP endpoint: ${url}/mcp     State: ${stateDir}

  Claude Code   claude mcp add --transport http operator ${url}/mcp
  Cursor        in ~/.cursor/mcp.json: { "mcpServers": { "operator": { "url": "${url}/mcp" } } }
  Inspector     npx @modelcontextprotocol/inspector   (Streamable HTTP, ${url}/mcp)
  Add a machine npx codez setup                       (on this computer: it finds Operator by itself)

Ctrl-C stops it.
`;
}
