import { Command } from "commander";
import { join } from "node:path";
import * as z from "zod";
import { findRunning, LOCAL_PATH, type Running, ServeExitCode } from "../../serve/index.ts";
import { codezHome } from "../../system/home.ts";
import { printable, printableJson } from "../../system/printable.ts";

/** serve runs on this computer. If it has not answered by then, it never will. */
const ANSWER_LIMIT_MS = 10_000;

/** Minimum length of an id prefix, so that a typo or an empty variable in a script does not match a request. */
const MIN_ID_CHARS = 4;

const Request = z.looseObject({
  request_id: z.string(),
  session_id: z.string(),
  cwd: z.string(),
  tool: z.string(),
  input: z.unknown(),
  why: z.string().nullable(),
  age_ms: z.number(),
});
type Request = z.infer<typeof Request>;
const List = z.object({ requests: z.array(Request) });
const Answered = z.object({ already_settled: z.boolean() });
const Refused = z.object({ error: z.string() });

/** `codez permissions`: shows the permission requests of this machine's sessions and answers them. */
export function permissionsCommand(): Command {
  const command = new Command("permissions")
    .description("list the permission requests of this machine's sessions, allow or deny them")
    .option("--json", "as JSON")
    .action(async ({ json }: { json?: boolean }) => withServe((serve) => list(serve, json === true)));
  command
    .command("allow")
    .description("allow what a session asked for, once")
    .argument("<request>", "the request's id, or the beginning of it")
    .action(async (request: string) => withServe((serve) => answer(serve, request, "allow", undefined)));
  command
    .command("deny")
    .description("refuse what a session asked for")
    .argument("<request>", "the request's id, or the beginning of it")
    .option("--reason <text>", "explanation for the model")
    .action(async (request: string, { reason }: { reason?: string }) => {
      return withServe((serve) => answer(serve, request, "deny", reason));
    });
  return command;
}

async function withServe(work: (serve: Running) => Promise<void>): Promise<void> {
  const serve = await findRunning(join(codezHome(), "serve", "running.json"));
  if (serve !== null) return work(serve);
  console.error("codez serve is not running here, so nothing waits for an answer. Start it with: codez serve");
  process.exitCode = ServeExitCode.NOT_RUNNING;
}

async function list(serve: Running, json: boolean): Promise<void> {
  const { requests } = await pending(serve);
  if (json) return console.log(printableJson(requests, 2));
  if (requests.length === 0) return console.log("No session waits for permission.");
  for (const request of requests) console.log(describe(request));
  console.log("\nAnswer with: codez permissions allow <id>   or   codez permissions deny <id>");
}

async function answer(serve: Running, start: string, behavior: "allow" | "deny", reason: string | undefined) {
  const { requests } = await pending(serve);
  if (start.length < MIN_ID_CHARS) return refuse(`Give at least ${MIN_ID_CHARS} characters of the request's id.`);
  const matching = requests.filter(({ request_id: id }) => id.startsWith(start));
  if (matching.length > 1)
    return refuse(`${start} matches ${matching.length} requests. Give more characters of the id.`);
  // No waiting request matches. It may have been settled already; serve then says by whom.
  const request = matching[0]?.request_id ?? start;
  const response = await call(serve, "POST", { request, behavior, ...(reason === undefined ? {} : { reason }) });
  if (!response.ok) return refuse(Refused.parse(await response.json()).error);
  const { already_settled: again } = Answered.parse(await response.json());
  if (again) return console.log(`${printable(request)} had this answer already`);
  console.log(behavior === "allow" ? "Allowed, once:" : "Denied:");
  for (const settled of matching) console.log(describe(settled));
}

async function pending(serve: Running): Promise<z.infer<typeof List>> {
  return List.parse(await (await call(serve, "GET")).json());
}

function call({ port, token }: Running, method: string, body?: unknown): Promise<Response> {
  return fetch(`http://127.0.0.1:${port}${LOCAL_PATH}`, {
    method,
    headers: { authorization: `Bearer ${token}` },
    signal: AbortSignal.timeout(ANSWER_LIMIT_MS),
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
}

/**
 * Shows everything that is asked for, so that the person who allows it has seen all of it. Nothing is shortened. Each value that a
 * model or an MCP server wrote (names of tools, too) is printed on one line, with invisible characters escaped.
 */
function describe({ request_id: id, session_id: session, cwd, tool, input, why, age_ms: ageMs }: Request): string {
  const lines = [
    `${printable(id)}  ${printable(tool)}  ${Math.round(ageMs / 1_000)} s ago`,
    `  in ${printable(cwd)} (session ${printable(session)})`,
    ...(why === null ? [] : [`  because ${printable(why)}`]),
    ...printableJson(input, 2)
      .split("\n")
      .map((line) => `  ${line}`),
  ];
  return lines.join("\n");
}

function refuse(message: string): void {
  console.error(printable(message));
  process.exitCode = ServeExitCode.NOT_ANSWERED;
}
