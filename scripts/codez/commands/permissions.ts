import { Command } from "commander";
import { Questions, type Question } from "#protocol/ask.ts";
import { isRecord } from "#protocol/json.ts";
import { join } from "node:path";
import * as z from "zod";
import { findRunning, LOCAL_PATH, type Running, ServeExitCode } from "../../serve/index.ts";
import { codezHome } from "../../system/home.ts";
import { printableJson } from "#protocol/printable.ts";
import { print, tell } from "../../print.ts";

/** serve runs on this computer. If it has not answered by then, it never will. */
const ANSWER_LIMIT_MS = 10_000;

/** Minimum length of an id prefix, so that a typo or an empty variable in a script does not match a request. */
const MIN_ID_CHARS = 4;

const Request = z.looseObject({
  request_id: z.string(),
  kind: z.enum(["permission", "question", "plan"]).default("permission"),
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
const Refused = z.object({ code: z.string(), error: z.string() });

/** `codez permissions`: shows what this machine's sessions wait for (permissions, answers, plans), and answers it. */
export function permissionsCommand(): Command {
  const command = new Command("permissions")
    .alias("inbox")
    .description("list what this machine's sessions wait for (permissions, questions, plans), and answer it")
    .option("--json", "as JSON")
    .action(async ({ json }: { json?: boolean }) => withServe((serve) => list(serve, json === true)));
  command
    .command("allow")
    .description("allow what a session asked for, once, or approve its plan")
    .argument("<request>", "the request's id, or the beginning of it")
    .action(async (request: string) => withServe((serve) => answer(serve, request, { behavior: "allow" })));
  command
    .command("answer")
    .description("answer the questions of a session, in their order")
    .argument("<request>", "the request's id, or the beginning of it")
    .argument("<answers...>", "one answer to each question: the number of an option, or text of your own")
    .action(async (request: string, texts: string[]) =>
      withServe((serve) => answer(serve, request, { behavior: "allow", texts })),
    );
  command
    .command("deny")
    .description("refuse what a session asked for, or send its plan back")
    .argument("<request>", "the request's id, or the beginning of it")
    .option("--reason <text>", "explanation for the model")
    .action(async (request: string, { reason }: { reason?: string }) => {
      return withServe((serve) =>
        answer(serve, request, { behavior: "deny", ...(reason === undefined ? {} : { reason }) }),
      );
    });
  return command;
}

async function withServe(work: (serve: Running) => Promise<void>): Promise<void> {
  const serve = findRunning(join(codezHome(), "serve", "running.json"));
  if (serve !== null) return work(serve);
  tell("codez serve is not running here, so nothing waits for an answer. Start it with: codez serve");
  process.exitCode = ServeExitCode.NOT_RUNNING;
}

async function list(serve: Running, json: boolean): Promise<void> {
  const { requests } = await pending(serve);
  if (json) return print(printableJson(requests, 2).split("\n"));
  if (requests.length === 0) return print("No session waits for a person.");
  for (const request of requests) print(describe(request));
  const has = (isQuestion: boolean): boolean => requests.some(({ kind }) => (kind === "question") === isQuestion);
  print("");
  if (has(false)) print("Answer with: codez permissions allow <id>   or   codez permissions deny <id>");
  if (has(true)) print("Answer a question: codez permissions answer <id> <number or text, for each question>");
}

type Given = {
  readonly behavior: "allow" | "deny";
  readonly reason?: string;
  /** Of a question: what the person typed, for each question. */
  readonly texts?: readonly string[];
};

async function answer(serve: Running, start: string, { behavior, reason, texts }: Given): Promise<void> {
  const { requests } = await pending(serve);
  if (start.length < MIN_ID_CHARS) return refuse(`Give at least ${MIN_ID_CHARS} characters of the request's id.`);
  const matching = requests.filter(({ request_id: id }) => id.startsWith(start));
  if (matching.length > 1)
    return refuse(`${start} matches ${matching.length} requests. Give more characters of the id.`);
  // No waiting request matches. It may have been settled already; serve then says by whom.
  const request = matching[0]?.request_id ?? start;
  const answers = texts === undefined || matching[0] === undefined ? {} : { answers: answersOf(matching[0], texts) };
  if (texts !== undefined && answers.answers === null)
    return refuse(`This asks for ${questionsOf(matching[0]).length} answers, and you gave ${texts.length}.`);
  const given = { request, behavior, ...answers, ...(reason === undefined ? {} : { reason }) };
  const response = await call(serve, "POST", given);
  if (!response.ok) {
    const { code, error } = Refused.parse(await response.json());
    return refuse(
      code === "request_unknown" ? `Nothing that waits here begins with ${start}. List it: codez permissions` : error,
    );
  }
  const { already_settled: again } = Answered.parse(await response.json());
  if (again) return print(`${request} had this answer already`);
  print(behavior === "deny" ? "Denied:" : texts === undefined ? "Allowed, once:" : "Answered:");
  for (const settled of matching) print(describe(settled));
}

/** The answers by their questions; `null` if there are not as many as questions. */
function answersOf(request: Request, texts: readonly string[]): Record<string, string> | null {
  const questions = questionsOf(request);
  if (questions.length !== texts.length) return null;
  return Object.fromEntries(questions.map((question, index) => [question.question, optionOf(question, texts[index])]));
}

/** The option of a number, or the text itself. */
function optionOf({ options = [] }: Question, text = ""): string {
  return /^\d+$/.test(text) ? (options[Number(text) - 1]?.label ?? text) : text;
}

function questionsOf(request: Request | undefined): Question[] {
  return Questions.safeParse(isRecord(request?.input) ? request.input["questions"] : null).data ?? [];
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
function describe(request: Request): string[] {
  const { request_id: id, session_id: session, cwd, tool, why, age_ms: ageMs } = request;
  return [
    `${id}  ${tool}  ${Math.round(ageMs / 1_000)} s ago`,
    `  in ${cwd} (session ${session})`,
    ...(why === null ? [] : [`  why: ${why}`]),
    ...asked(request).map((line) => `  ${line}`),
  ];
}

/** What is asked: a plan as its text and the rest of it as JSON, questions with numbered options, anything else as JSON. */
function asked(request: Request): string[] {
  const { kind, input } = request;
  if (kind === "plan" && isRecord(input) && typeof input["plan"] === "string") {
    const { plan, ...rest } = input;
    // The rest is approved as well, for example the commands that the plan wants to run without asking.
    const others = Object.keys(rest).length === 0 ? [] : printableJson(rest, 2).split("\n");
    return [...String(plan).split("\n"), ...others];
  }
  const questions = kind === "question" ? questionsOf(request) : [];
  if (questions.length === 0) return printableJson(input, 2).split("\n");
  return questions.flatMap(({ question, options = [], multiSelect }) => [
    `${question}${multiSelect === true ? " (several are possible, with commas in between)" : ""}`,
    ...options.map(
      ({ label, description }, index) =>
        `  ${index + 1}. ${label}${description === undefined ? "" : `: ${description}`}`,
    ),
  ]);
}

function refuse(message: string): void {
  tell(message);
  process.exitCode = ServeExitCode.NOT_ANSWERED;
}
