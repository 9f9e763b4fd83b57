import { Hono } from "hono";
import { Copy } from "../design/parts.tsx";
import { personPage } from "../sign-in/person-page.ts";
import { isLoopbackHost } from "#protocol/loopback-host.ts";
import type { PageApp } from "../sign-in/page-context.ts";

/** `/connect`: how each client is told of this Operator. */
export const connect = new Hono<PageApp>();

connect.get("/", (c) => {
  const url = `${c.env.ORIGIN}/mcp`;
  const isLocal = isLoopbackHost(new URL(c.env.ORIGIN).hostname);
  return personPage(
    c,
    { title: "Connect a client", at: "connect" },
    <div class="narrow">
      <h1>Connect a client</h1>
      <p>
        Any MCP client works with this one address. It signs you in here, and <a href="/account">your account</a> lists
        it from then on.
      </p>
      <Copy text={url} label="the address" />
      {isLocal ? (
        <p class="note warn">
          This Operator listens on this computer alone. Clients here sign in through a browser, or show the token that{" "}
          <code>npm start</code> prints. Claude.ai and ChatGPT call from their own cloud and cannot reach it.
        </p>
      ) : null}
      {CLIENTS.map(({ name, steps, text, isCloud }) => (
        <section class="card" id={name.toLowerCase().replaceAll(/[^a-z]/g, "")}>
          <h2>{name}</h2>
          {isLocal && isCloud === true ? (
            <p class="soft">Needs an Operator on your own box or on Cloudflare.</p>
          ) : (
            <>
              <p class="soft">{steps}</p>
              <Copy text={text(url)} label={`the text for ${name}`} />
            </>
          )}
        </section>
      ))}
      <p class="soft">
        For scripts and clients that cannot sign in: <a href="/account#tokens">make an access token</a> and send it as{" "}
        <code>Authorization: Bearer …</code>.
      </p>
    </div>,
  );
});

type Client = {
  readonly name: string;
  readonly steps: string;
  readonly text: (url: string) => string;
  /** It calls from its maker's servers. */
  readonly isCloud?: true;
};

const CLIENTS: readonly Client[] = [
  {
    name: "Claude.ai",
    steps: "Settings, Connectors, Add custom connector. Then sign in when it asks. The phone app has it as well.",
    text: (url) => url,
    isCloud: true,
  },
  {
    name: "Claude Code",
    steps: "In a terminal; then /mcp in a session signs you in.",
    text: (url) => `claude mcp add --transport http operator ${url}`,
  },
  {
    name: "Cursor",
    steps: "In ~/.cursor/mcp.json; then Settings, MCP, and sign in.",
    text: (url) => JSON.stringify({ mcpServers: { operator: { url } } }, null, 2),
  },
  {
    name: "ChatGPT",
    steps:
      "Settings, Connectors, Advanced, developer mode on; then Create, with this as the MCP server's URL and OAuth.",
    text: (url) => url,
    isCloud: true,
  },
  {
    name: "VS Code",
    steps: "In .vscode/mcp.json of a workspace, or with the command MCP: Add Server.",
    text: (url) => JSON.stringify({ servers: { operator: { type: "http", url } } }, null, 2),
  },
];
