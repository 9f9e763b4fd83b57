import { homedir } from "node:os";
import { DEFAULT_PORT } from "./arguments.ts";
import { IS_PACKED } from "./program.ts";

type Facts = {
  readonly url: string;
  readonly stateDir: string;
  /** `null` once an owner has claimed this Operator. */
  readonly claimCode: string | null;
  /** The file with the token for the owner's own programs on this computer; `null` for a public start, where everyone signs in. */
  readonly tokenFile: string | null;
};

/** What a person sees once everything runs. The only secret in it is the claim code, which works once. */
export function banner({ url, stateDir, claimCode, tokenFile }: Facts): string {
  return `
Operator is running. MCP endpoint: ${url}/mcp     State: ${stateDir}

${tokenFile === null ? clients(url) : clientsWithToken(url, shellPath(tokenFile))}
  Add a machine ${addMachine(url, tokenFile !== null)}
  In a browser  ${forBrowsers(url)}
${claimCode === null ? "" : claim(url, claimCode)}
Ctrl-C stops it.
`;
}

/** On this computer `codez` of the clone finds Operator at its usual port by itself. Everywhere else Operator itself serves one that fits. */
function addMachine(url: string, isLocal: boolean): string {
  if (isLocal && !IS_PACKED)
    return new URL(url).port === String(DEFAULT_PORT)
      ? "npx codez setup                       (on this computer: it finds Operator by itself)"
      : `npx codez setup --hub ${url}      (on this computer)`;
  return `npx -y ${url}/codez.tgz up      (on the machine)`;
}

/** Commands for clients that sign in through a browser. */
function clients(url: string): string {
  return `  Claude Code   claude mcp add --transport http operator ${url}/mcp
  Cursor        in ~/.cursor/mcp.json: { "mcpServers": { "operator": { "url": "${url}/mcp" } } }
  Inspector     npx -y @modelcontextprotocol/inspector@latest   (Streamable HTTP, ${url}/mcp)`;
}

/** Commands for clients that send the owner's token. The shell reads it from its file, so no shell history and no log contains it. */
function clientsWithToken(url: string, file: string): string {
  const header = `--header "Authorization: Bearer $(cat ${file})"`;
  return `  Claude Code   claude mcp add --transport http operator ${url}/mcp ${header}
  Cursor        in ~/.cursor/mcp.json, with what ${file} has in place of <token>:
                { "mcpServers": { "operator": { "url": "${url}/mcp", "headers": { "Authorization": "Bearer <token>" } } } }
  Inspector     npx -y @modelcontextprotocol/inspector@latest --cli ${url}/mcp --transport http --method tools/list ${header}`;
}

/** The path as a shell argument: with `~` for the home folder, and quoted if it contains special characters. */
function shellPath(path: string): string {
  const home = `${homedir()}/`;
  const short = path.startsWith(home) ? `~/${path.slice(home.length)}` : path;
  return /^[\w~/.,:@%+=-]+$/.test(short) ? short : `'${path.replaceAll("'", String.raw`'\''`)}'`;
}

/** Browsers do not send what follows a `#`, so no server or proxy on the way logs the code. */
function claim(url: string, code: string): string {
  return `
  To sign in with a browser, make it yours once: ${forBrowsers(url)}/claim#${code}
`;
}

/**
 * The address as a browser should be told it. Browsers offer passkeys at a name and not at an IP address (WebAuthn section 5.1.3), and
 * `localhost` is the name that every computer has for itself.
 */
function forBrowsers(url: string): string {
  const address = new URL(url);
  if (address.hostname === "127.0.0.1") address.hostname = "localhost";
  return address.origin;
}
