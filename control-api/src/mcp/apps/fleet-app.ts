import { FLEET_HTML } from "./fleet-html.ts";

/** Where clients that render MCP Apps find the view (the extension `io.modelcontextprotocol/ui`, revision 2026-01-26). */
const FLEET_URI = "ui://operator/fleet";

/** The media type that marks HTML as a view for a client (MCP Apps, "UI Resource Format"). */
const VIEW_TYPE = "text/html;profile=mcp-app";

const FLEET = {
  uri: FLEET_URI,
  name: "fleet",
  title: "Machines and what waits for you",
  description: "Shows the answers of list_machines and list_pending.",
  mimeType: VIEW_TYPE,
};

/** `_meta` of a tool whose answer the view shows. Clients that render no views show the answer's text, which says the same. */
export const SHOWN_IN_FLEET = { ui: { resourceUri: FLEET_URI } };

/** The answer to `resources/list`. */
export const RESOURCES = { resources: [FLEET] };

/** The answer to `resources/read`; `null` for any other address. The view asks for no domain: it loads and sends nothing. */
export function resourceAt(uri: string) {
  if (uri !== FLEET_URI) return null;
  const meta = { ui: { csp: { connectDomains: [], resourceDomains: [] }, prefersBorder: true } };
  return { contents: [{ uri: FLEET_URI, mimeType: VIEW_TYPE, text: FLEET_HTML, _meta: meta }] };
}
