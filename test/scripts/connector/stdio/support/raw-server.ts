import { spawn } from "node:child_process";
import { createInterface } from "node:readline";

/**
 * An MCP server on stdio without any library, so that a test knows its every byte. `--modern`: it speaks 2026-07-28;
 * `--mute`: it leaves unknown methods unanswered, as some servers do.
 */
const isModern = process.argv.includes("--modern");
const isMute = process.argv.includes("--mute");

/** The result of `fragile`: JSON that any parser would write differently. */
const FRAGILE = '{ "big":9007199254740993,  "one":1.0, "a":1,"a":2, "e":"\\u0061", "é":"日本" }';

/** A call of `later`, which `notifications/go` answers. */
let held: (() => void) | null = null;
let asked: string | null = null;

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

const TOOLS: Record<string, (id: string, params: Record<string, unknown>, line: string) => void> = {
  fragile: (id) => say(`{"jsonrpc":"2.0",  "result":${FRAGILE},"id":${id}}`),
  crlf: (id) => process.stdout.write(`{"jsonrpc":"2.0",\r"result":{},"id":${id}}\r\n`),
  line: (id, _, line) => say(`{"jsonrpc":"2.0","id":${id},"result":{"line":${JSON.stringify(line)}}}`),
  pid: (id) => say(`{"jsonrpc":"2.0","id":${id},"result":{"pid":${process.pid}}}`),
  large: (id) => say(`{"jsonrpc":"2.0","id":${id},"result":{"text":"${"x".repeat(5 * 1024 * 1024)}"}}`),
  hang: () => undefined,
  notify: () => say('{"jsonrpc":"2.0","method":"notifications/message","params":{"data":"unasked"}}'),
  noise: (id) => say(`listening on port 3\n[1,2\n\n{"jsonrpc":"2.0","id":${id},"result":{}}`),
  crash: () => {
    console.error("something broke\nno more disk");
    process.exit(3);
  },
  last: (id) => process.stdout.write(`{"jsonrpc":"2.0","id":${id},"result":{"last":true}}\n`, () => process.exit(0)),
  child: (id) => {
    const { pid } = spawn(process.execPath, ["-e", "process.on('SIGTERM',()=>{});setInterval(()=>{},1000)"], {
      stdio: "inherit",
    });
    say(`{"jsonrpc":"2.0","id":${id},"result":{"pid":${pid}}}`);
  },
  stubborn: (id) => {
    process.on("SIGTERM", () => undefined);
    setInterval(() => undefined, 1_000);
    say(`{"jsonrpc":"2.0","id":${id},"result":{"pid":${process.pid}}}`);
  },
  progress: (id, { _meta }) => {
    const token = JSON.stringify((_meta as { progressToken: unknown }).progressToken);
    say(`{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":${token},"progress":1}}`);
    say(`{"jsonrpc":"2.0","id":${id},"result":{"done":true}}`);
  },
  half: (_, { _meta }) => {
    const token = JSON.stringify((_meta as { progressToken: unknown }).progressToken);
    say(`{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":${token},"progress":1}}`);
  },
  later: (id, params, line) => {
    held = () => TOOLS["progress"]?.(id, params, line);
  },
  ask: (id) => {
    asked = id;
    say('{"jsonrpc":"2.0","id":"server-1","method":"sampling/createMessage","params":{}}');
  },
  error: (id) => say(`{"jsonrpc":"2.0","id":${id},"error":{"code":-32021,"message":"needs more"}}`),
};

createInterface({ input: process.stdin }).on("line", (line) => {
  const message = JSON.parse(line);
  if (Array.isArray(message)) {
    for (const one of message) if ("id" in one) say(`{"jsonrpc":"2.0","id":${JSON.stringify(one.id)},"result":{}}`);
    return;
  }
  const { id, method, params = {}, result } = message;
  if (result !== undefined && id === "server-1" && asked !== null) {
    say(`{"jsonrpc":"2.0","id":${asked},"result":{"heard":${JSON.stringify(result)}}}`);
    return;
  }
  if (method === "notifications/cancelled") {
    say(`{"jsonrpc":"2.0","method":"notifications/message","params":{"data":"cancelled ${params.requestId}"}}`);
    return;
  }
  if (method === "notifications/go") held?.();
  if (id === undefined) return;
  const idText = JSON.stringify(id);
  if (method === "initialize" && !isModern)
    return say(
      `{"jsonrpc":"2.0","id":${idText},"result":{"protocolVersion":"2025-11-25","capabilities":{"tools":{}},"serverInfo":{"name":"raw","version":"1"}}}`,
    );
  if (method === "server/discover" && isModern)
    return say(
      `{"jsonrpc":"2.0","id":${idText},"result":{"supportedVersions":["2026-07-28"],"capabilities":{"tools":{}}}}`,
    );
  if (method === "subscriptions/listen" && isModern) {
    const meta = `"_meta":{"io.modelcontextprotocol/subscriptionId":${idText}}`;
    say(`{"jsonrpc":"2.0","method":"notifications/subscriptions/acknowledged","params":{${meta}}}`);
    return say(`{"jsonrpc":"2.0","method":"notifications/tools/list_changed","params":{${meta}}}`);
  }
  if (method === "tools/list") return say(`{"jsonrpc":"2.0","id":${idText},"result":{"tools":[]}}`);
  const tool = method === "tools/call" ? TOOLS[String(params.name)] : undefined;
  if (tool !== undefined) return tool(idText, params, line);
  if (!isMute) say(`{"jsonrpc":"2.0","id":${idText},"error":{"code":-32601,"message":"Method not found"}}`);
});
