import { Command } from "commander";
import { join } from "node:path";
import * as z from "zod";
import { findRunning, LOCAL_PATH, type Running, ServeExitCode } from "../../serve/index.ts";
import { codezHome } from "../../system/home.ts";
import { printable, printableJson } from "../../system/printable.ts";

/** serve is on this computer; if it does not answer by then it never will. */
const ANSWER_LIMIT_MS = 10_000;

/** Enough of an id that a slip of the finger, or an empty variable in a script, does not name some request. */
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

/** `codez permissions`: what sessions on this machine wait for, and the answer to it. */
export function permissionsCommand(): Command {
  const command = new Command("permissions")
    .description("list the permission requests of this machine's sessions, allow or deny them")
    .option("--json", "as JSON")
    .action(async ({ json }: { json?: boolean }) => withServe((serve) => list(serve, json === true)));
  command
    .command("allow")
    .description("let a session do what it asked for, once")
    .argument("<request>", "its id, or the beginning of it")
    .action(async (request: string) => withServe((serve) => answer(serve, request, "allow", undefined)));
  command
    .command("deny")
    .description("refuse what a session asked for")
    .argument("<request>", "its id, or the beginning of it")
    .option("--reason <text>", "told to the model")
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
  if (matching.length > 1) return refuse(`${start} fits ${matching.length} requests; give more of it`);
  // One that does not wait any more: serve knows who settled it.
  const request = matching[0]?.request_id ?? start;
  const response = await call(serve, "POST", { request, behavior, ...(reason === undefined ? {} : { reason }) });
  if (!response.ok) return refuse(Refused.parse(await response.json()).error);
  const { already_settled: again } = Answered.parse(await response.json());
  if (again) return console.log(`${printable(request)} had that answer already`);
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
 * All of what is asked for: whoever allows it has seen it. Nothing is cut, and what a model or an MCP server wrote (names of
 * tools too) is one line a value, with every character that would not show written out.
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
