import { cp, readdir } from "node:fs/promises";
import { join, resolve } from "node:path";
import { text as textOf } from "node:stream/consumers";
import { Command, InvalidArgumentError } from "commander";
import { printableJson } from "#protocol/printable.ts";
import { OPERATOR_COMMAND, PROGRAM } from "../../local/program.ts";
import { apiAt, originOf, type Where } from "../operator-api.ts";
import { ServerApi } from "./server-api.ts";
import { bundleServer } from "./server-folder.ts";
import { untilReady, verify } from "./verify.ts";
import { print, tell } from "../../print.ts";

const TEMPLATES = join(PROGRAM, "scripts/operator/templates");

/**
 * `operator servers`: MCP servers that run in Operator itself, with no machine behind them.
 * @param localUrl the address of the Operator on this computer; `null` if none runs
 */
export function serversCommand(localUrl: () => Promise<string | null>): Command {
  const api = async (where: Where): Promise<ServerApi> => new ServerApi(await apiAt(await originOf(where, localUrl)));
  const servers = new Command("servers").description("host MCP servers in Operator itself, without a machine");
  const add = (usage: string, description: string): Command =>
    servers
      .command(usage)
      .description(description)
      .option("--url <url>", "the Operator's address (default: OPERATOR_URL, or the one on this computer)");

  servers
    .command("new <template> <folder>")
    .description("make a folder with a server to start from: echo, or stateful (with a Durable Object)")
    .action(async (template: string, folder: string) => {
      const known = await readdir(TEMPLATES);
      if (!known.includes(template)) throw new Error(`There is no template "${template}": ${known.join(", ")}.`);
      const there = await readdir(resolve(folder)).catch(() => []); // no such folder; `cp` makes it
      if (there.length > 0) throw new Error(`${folder} is not empty. Choose a folder of its own for the server.`);
      await cp(join(TEMPLATES, template), resolve(folder), { recursive: true });
      print(`${folder} has the server "${template}". Deploy it with: ${OPERATOR_COMMAND} servers deploy ${folder}`);
    });

  add("deploy <folder>", "bundle the Worker in a folder, upload it, and call it at its public address")
    .option("--name <name>", "its name (default: the one in wrangler.jsonc)")
    .option("--call <tool and arguments>", 'a call that checks it, such as \'add {"a":1,"b":2}\'', callIn)
    .action(async (folder: string, options: Where & { name?: string; call?: WantedCall }) => {
      const operator = await api(options);
      const { name, config, modules } = await bundleServer(resolve(folder));
      const server = await operator.deploy(options.name ?? name, config, modules);
      await untilReady(operator, server);
      const { tools, call } = await verify(operator, server, options.call ?? null);
      print(`${server.name}: ready and verified (version ${server.version})`);
      print(`  tools/list -> ${tools.join(", ")}`);
      if (call !== null) print(`  tools/call ${call.tool} ${printableJson(call.args)} -> ${call.text}`);
      print(`  ${server.mcpUrl}`);
    });

  add("list", "list your hosted servers").action(async (options: Where) => {
    const known = await (await api(options)).list();
    if (known.length === 0) return print(`No hosted servers. Deploy one: ${OPERATOR_COMMAND} servers deploy <folder>`);
    for (const { name, version, versions, mcpUrl } of known)
      print(`${name}  version ${version} (kept: ${versions.map((one) => one.version).join(", ")})  ${mcpUrl}`);
  });

  add("rollback <name> [version]", "upload an earlier version again (default: the one before the current one)").action(
    async (name: string, version: string | undefined, options: Where) => {
      const operator = await api(options);
      const server = await operator.rollback(name, version === undefined ? undefined : versionIn(version));
      await untilReady(operator, server);
      print(`${name}: version ${server.version} answers again`);
    },
  );

  add("delete <name>", "delete a server with its storage, secrets and versions").action(
    async (name: string, options: Where) => {
      await (await api(options)).delete(name);
      print(`${name} is deleted`);
    },
  );

  const secret = servers.command("secret").description("set, list and delete a server's secrets");
  const addSecret = (usage: string, description: string): Command =>
    secret.command(usage).description(description).option("--url <url>", "the Operator's address");
  // The value comes on standard input, because every user of this computer can read the arguments of a process.
  addSecret("put <server> <secret>", "set a secret to what standard input says").action(
    async (server: string, name: string, options: Where) => {
      if (process.stdin.isTTY) tell(`Type the value of ${name}, then Ctrl-D:`);
      await (await api(options)).putSecret(server, name, (await textOf(process.stdin)).replace(/\r?\n$/, ""));
      print(`${name} is set`);
    },
  );
  addSecret("list <server>", "the names of a server's secrets").action(async (server: string, options: Where) => {
    for (const name of await (await api(options)).secrets(server)) print(name);
  });
  addSecret("delete <server> <secret>", "delete a secret").action(
    async (server: string, name: string, options: Where) => {
      await (await api(options)).deleteSecret(server, name);
      print(`${name} is deleted`);
    },
  );
  return servers;
}

type WantedCall = { tool: string; args: Record<string, unknown> };

function callIn(value: string): WantedCall {
  const [, tool, json = "{}"] = /^(\S+)(?:\s+(\{.*\}))?$/s.exec(value) ?? [];
  try {
    if (tool !== undefined) return { tool, args: JSON.parse(json) as Record<string, unknown> }; // the pattern allows objects only
  } catch {
    // told below, like every other malformed value
  }
  throw new InvalidArgumentError('Give a tool and its arguments as JSON: \'echo {"message":"hello"}\'');
}

function versionIn(text: string): number {
  const version = Number(text);
  if (!Number.isSafeInteger(version) || version < 1) throw new Error(`"${text}" is not a version's number.`);
  return version;
}
