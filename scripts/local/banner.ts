type Facts = {
  readonly url: string;
  readonly stateDir: string;
  /** `null` once somebody is the owner. */
  readonly claimCode: string | null;
};

/** What a person sees once everything runs. */
export function banner({ url, stateDir, claimCode }: Facts): string {
  return `
Operator is running. MCP endpoint: ${url}/mcp     State: ${stateDir}

  Claude Code   claude mcp add --transport http operator ${url}/mcp
  Cursor        in ~/.cursor/mcp.json: { "mcpServers": { "operator": { "url": "${url}/mcp" } } }
  Inspector     npx @modelcontextprotocol/inspector   (Streamable HTTP, ${url}/mcp)
  Add a machine npx codez setup                       (on this computer: it finds Operator by itself)
${claimCode === null ? "" : claim(url, claimCode)}
Ctrl-C stops it.
`;
}

/** Behind a `#` the code reaches no server and no log on the way. */
function claim(url: string, code: string): string {
  return `
  To sign in (from elsewhere; here nobody has to), make it yours once: ${url}/claim#${code}
`;
}
