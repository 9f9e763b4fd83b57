import { homedir } from "node:os";

type Facts = {
  readonly url: string;
  readonly stateDir: string;
  /** `null` once somebody is the owner. */
  readonly claimCode: string | null;
  /** Where the owner's own programs on this computer find the token that lets them in; `null` where everybody signs in. */
  readonly tokenFile: string | null;
};

/** What a person sees once everything runs. No secret is in it but the claim code, which is of no more use once it was used. */
export function banner({ url, stateDir, claimCode, tokenFile }: Facts): string {
  return `
Operator is running. MCP endpoint: ${url}/mcp     State: ${stateDir}

${tokenFile === null ? clients(url) : clientsWithToken(url, shellPath(tokenFile))}
  Add a machine npx codez setup                       (on this computer: it finds Operator by itself)
${claimCode === null ? "" : claim(url, claimCode)}
Ctrl-C stops it.
`;
}

/** They sign in through a browser. */
function clients(url: string): string {
  return `  Claude Code   claude mcp add --transport http operator ${url}/mcp
  Cursor        in ~/.cursor/mcp.json: { "mcpServers": { "operator": { "url": "${url}/mcp" } } }
  Inspector     npx @modelcontextprotocol/inspector   (Streamable HTTP, ${url}/mcp)`;
}

/** The shell reads the token from its file, so that it is in no terminal's history and in no log. */
function clientsWithToken(url: string, file: string): string {
  const header = `--header "Authorization: Bearer $(cat ${file})"`;
  return `  Claude Code   claude mcp add --transport http operator ${url}/mcp ${header}
  Cursor        in ~/.cursor/mcp.json, with what ${file} has in place of <token>:
                { "mcpServers": { "operator": { "url": "${url}/mcp", "headers": { "Authorization": "Bearer <token>" } } } }
  Inspector     npx @modelcontextprotocol/inspector --cli ${url}/mcp --transport http --method tools/list ${header}`;
}

/** Short below the home folder, which a shell expands; quoted where its signs would mean something to the shell. */
function shellPath(path: string): string {
  const home = `${homedir()}/`;
  const short = path.startsWith(home) ? `~/${path.slice(home.length)}` : path;
  return /^[\w~/.,:@%+=-]+$/.test(short) ? short : `'${path.replaceAll("'", String.raw`'\''`)}'`;
}

/** Behind a `#` the code reaches no server and no log on the way. */
function claim(url: string, code: string): string {
  return `
  To sign in with a browser, make it yours once: ${url}/claim#${code}
`;
}
