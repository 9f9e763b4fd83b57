import { HIDDEN_ON_PAGES } from "#protocol/hidden.ts";

/**
 * The view that a client shows beside the answers of list_machines and list_pending. It runs in the client's sandbox, where it can reach
 * nothing but the client itself, by JSON-RPC messages. It decides nothing: its buttons ask the client to open Operator's page, on which a
 * person signs in.
 *
 * Everything that it shows is text (`textContent`), with the characters written out that hide or turn text around, as on Operator's pages.
 */
export const FLEET_HTML = String.raw`<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Operator</title>
<style>
:root { color-scheme: light dark; --ink: #1a1a18; --soft: #63625d; --line: #e3e2dd; --card: #fff; --accent: #0b5c4f; --on: #fff; --good: #17683a; --warn: #7d4600; --sunk: #f2f2ef; }
:root[data-theme=dark] { --ink: #ecece7; --soft: #a09f98; --line: #282b28; --card: #171917; --accent: #6fd3bf; --on: #06231e; --good: #79d69b; --warn: #f3bb67; --sunk: #1d1f1d; }
@media (prefers-color-scheme: dark) { :root:not([data-theme=light]) { --ink: #ecece7; --soft: #a09f98; --line: #282b28; --card: #171917; --accent: #6fd3bf; --on: #06231e; --good: #79d69b; --warn: #f3bb67; --sunk: #1d1f1d; } }
body { margin: 0; padding: .9rem; font: .9rem/1.5 system-ui, sans-serif; color: var(--ink); background: var(--card); overflow-wrap: anywhere; }
h1 { font-size: 1rem; margin: 0 0 .5rem; } ul { list-style: none; margin: 0 0 1rem; padding: 0; } li { padding: .55rem 0; border-top: 1px solid var(--line); } li:first-child { border-top: 0; }
.soft { color: var(--soft); font-size: .82rem; } .good { color: var(--good); } .warn { color: var(--warn); } bdi { font-weight: 600; }
pre { margin: .35rem 0; padding: .5rem .65rem; background: var(--sunk); border-radius: 8px; font: .8rem/1.45 ui-monospace, monospace; white-space: pre-wrap; max-height: 12rem; overflow: auto; unicode-bidi: isolate-override; direction: ltr; }
button { font: 600 .85rem system-ui, sans-serif; border: 0; border-radius: 8px; padding: .5rem .9rem; min-height: 40px; background: var(--accent); color: var(--on); cursor: pointer; }
</style>
<main id="main" aria-live="polite"><p class="soft">Waiting for Operator.</p></main>
<script>
"use strict";
const main = document.getElementById("main");
const MAX_ROWS = 50, MAX_TEXT = 4000;
const HIDDEN = ${String(HIDDEN_ON_PAGES)};
/** Text of machines and models, as it may be shown. What is cut says so. */
function safe(value, limit = 300) {
  const text = typeof value === "string" ? value : JSON.stringify(value ?? null, null, 2);
  const shown = text.slice(0, limit).replace(HIDDEN, (sign) => "\\u{" + sign.codePointAt(0).toString(16) + "}");
  return text.length > limit ? shown + "\n… and " + (text.length - limit) + " more characters" : shown;
}
function element(name, text, look) {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  if (look) made.className = look;
  return made;
}
const list = (value) => (Array.isArray(value) ? value.filter((one) => one && typeof one === "object") : []);

// --- The client, by JSON-RPC (MCP Apps 2026-01-26)
let last = 0;
const waiting = new Map();
const send = (message) => parent.postMessage({ jsonrpc: "2.0", ...message }, "*");
const ask = (method, params) => new Promise((resolve, reject) => { waiting.set(++last, { resolve, reject }); send({ id: last, method, params }); });
addEventListener("message", ({ source, data }) => {
  // Any page can send messages to a frame. Only the one that shows this view counts.
  if (source !== parent || !data || data.jsonrpc !== "2.0") return;
  if (data.method === undefined) {
    const asked = waiting.get(data.id);
    waiting.delete(data.id);
    if (asked) data.error ? asked.reject(new Error(safe(data.error.message))) : asked.resolve(data.result);
  } else if (data.method === "ui/notifications/tool-result") show(data.params);
  else if (data.method === "ui/notifications/host-context-changed") look(data.params);
  else if (data.method === "ping" || data.method === "ui/resource-teardown") send({ id: data.id, result: {} });
  else if (data.id !== undefined) send({ id: data.id, error: { code: -32601, message: "This view has no such method." } });
});
function look(context) {
  if (context && (context.theme === "light" || context.theme === "dark")) document.documentElement.dataset.theme = context.theme;
}

// --- What is shown
const known = { machines: null, total: 0, online: 0, pending: null, page: null };
function take(result) {
  const told = result && result.structuredContent;
  if (!told || typeof told !== "object") return false;
  if (Array.isArray(told.machines)) {
    known.machines = list(told.machines);
    known.total = Number.isInteger(told.total) ? told.total : known.machines.length;
    known.online = Number.isInteger(told.online) ? told.online : known.machines.filter(({ status }) => status === "online").length;
  }
  if (Array.isArray(told.pending)) known.pending = list(told.pending);
  if (typeof told.answer_at === "string" && /^https?:\/\//.test(told.answer_at)) known.page = told.answer_at;
  return Array.isArray(told.machines) || Array.isArray(told.pending);
}
function show(result) {
  if (!take(result)) return main.replaceChildren(element("p", "Operator's answer is in the conversation.", "soft"));
  draw();
}
function draw() {
  main.replaceChildren();
  if (known.pending) pendingPart(known.pending);
  if (known.machines) machinesPart(known.machines);
}
function pendingPart(pending) {
  main.append(element("h1", pending.length === 0 ? "Nothing waits for you" : pending.length === 1 ? "1 decision waits for you" : pending.length + " decisions wait for you"));
  if (pending.length === 0) return;
  const rows = element("ul");
  for (const one of pending.slice(0, MAX_ROWS)) {
    const row = element("li");
    const what = { question: "asks a question", plan: "proposes a plan" }[one.kind] || "asks to use " + safe(one.tool, 60);
    row.append(element("bdi", safe(one.machine, 70)), " " + what);
    const where = element("div", undefined, "soft");
    where.append(element("bdi", safe(one.title || one.cwd || "a session", 160)));
    row.append(where);
    const input = one.input && typeof one.input.command === "string" ? one.input.command : one.kind === "question" ? one.questions : one.kind === "plan" ? one.plan : one.input;
    row.append(element("pre", safe(input, MAX_TEXT)));
    if (one.is_whole === false) row.append(element("p", "This is not all of it.", "warn"));
    rows.append(row);
  }
  main.append(rows);
  if (pending.length > MAX_ROWS) main.append(element("p", "… and " + (pending.length - MAX_ROWS) + " more", "soft"));
  if (!known.page) return;
  const open = element("button", "Decide on Operator's page");
  open.addEventListener("click", () => {
    ask("ui/open-link", { url: known.page }).then((done) => { if (done && done.isError) throw new Error("refused"); })
      .catch(() => open.replaceWith(element("p", "Open " + known.page, "soft")));
  });
  main.append(open);
}
function machinesPart(machines) {
  main.append(element("h1", machines.length === 0 ? "No machines yet" : known.online + " of " + known.total + " machines online"));
  const rows = element("ul");
  const sorted = [...machines].sort((one, other) => (other.status === "online") - (one.status === "online"));
  for (const { name, status, lastSeenMs, facts } of sorted.slice(0, MAX_ROWS)) {
    const row = element("li");
    const state = status === "online" ? "online" : status === "never_connected" ? "never connected" : "offline" + (Number.isFinite(lastSeenMs) ? " since " + new Date(lastSeenMs).toLocaleString() : "");
    row.append(element("bdi", safe(name, 70)), " ", element("span", state, status === "online" ? "good" : "soft"));
    const host = facts && typeof facts === "object" ? [facts.hostname, facts.os].filter((one) => typeof one === "string").map((one) => safe(one, 80)).join(", ") : "";
    if (host) row.append(element("div", host, "soft"));
    rows.append(row);
  }
  main.append(rows);
  const shown = Math.min(machines.length, MAX_ROWS);
  if (known.total > shown) main.append(element("p", "… and " + (known.total - shown) + " more", "soft"));
}

// --- Begin
new ResizeObserver(() => send({ method: "ui/notifications/size-changed", params: { height: Math.ceil(document.documentElement.scrollHeight) } })).observe(main);
ask("ui/initialize", { protocolVersion: "2026-01-26", appInfo: { name: "operator-fleet", version: "1" }, appCapabilities: {} })
  .then(async ({ hostCapabilities = {}, hostContext }) => {
    look(hostContext);
    send({ method: "ui/notifications/initialized" });
    if (!hostCapabilities.serverTools) return;
    // The other half: what waits beside the machines, or the machines beside what waits.
    for (const name of ["list_pending", "list_machines"]) if (take(await ask("tools/call", { name, arguments: {} }))) draw();
  })
  .catch((error) => main.append(element("p", "This view could not be brought up to date: " + safe(error.message), "warn")));
</script>
</html>
`;
