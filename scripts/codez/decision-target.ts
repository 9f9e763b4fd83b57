import { join } from "node:path";
import { Decision } from "#protocol/ask.ts";
import { parseJson } from "#protocol/json.ts";
import { type Answer, answerJson, type Target, type TargetRequest } from "../connector/index.ts";
import { findRunning, LOCAL_PATH } from "../serve/index.ts";
import { codezHome } from "../system/home.ts";

/** serve answers at once. If it has not after this time, it hangs, and the decision is delivered later. */
const ANSWER_LIMIT_MS = 10_000;

/** What serve answers: a request with its input of at most 48 KB. */
const MAX_ANSWER_CHARACTERS = 1024 * 1024;

/**
 * Passes people's decisions on to the `codez serve` behind this connector, at the door that `codez permissions` uses. Only the
 * connector can do that, since the door's token is in a file of this user. serve's own policy decides whether it accepts them.
 */
export class DecisionTarget implements Target {
  readonly #url: URL;
  readonly #home: string;

  /** @param url the address of the MCP server that this connector serves. */
  constructor(url: URL, home: string = codezHome()) {
    this.#url = url;
    this.#home = home;
  }

  serve(request: TargetRequest, answer: Answer): void {
    this.#pass(request, answer).catch((reason: unknown) =>
      refuse(answer, 502, "serve_failed", `codez serve did not answer: ${String(reason)}`),
    );
  }

  close(): Promise<void> {
    return Promise.resolve();
  }

  async #pass({ method, body }: TargetRequest, answer: Answer): Promise<void> {
    // A decision fits into one frame. A body that does not is no decision.
    if (method !== "POST" || !(body instanceof Uint8Array))
      return refuse(answer, 400, "invalid_request", "This is not a decision.");
    // Only what is in the schema goes on, above all `by`: without it serve would take the decision for one that was made here.
    const decision = Decision.safeParse(parseJson(Buffer.from(body).toString("utf8")));
    if (!decision.success) return refuse(answer, 400, "invalid_request", "This is not a decision.");
    const serve = findRunning(join(this.#home, "serve", "running.json"));
    if (serve === null || String(serve.port) !== this.#url.port)
      return refuse(answer, 404, "no_serve", "No codez serve runs behind this connector, so nothing takes decisions.");
    const response = await fetch(`http://127.0.0.1:${serve.port}${LOCAL_PATH}`, {
      method: "POST",
      headers: { authorization: `Bearer ${serve.token}` },
      body: JSON.stringify(decision.data),
      redirect: "error",
      signal: AbortSignal.timeout(ANSWER_LIMIT_MS),
    });
    const text = await response.text();
    if (text.length > MAX_ANSWER_CHARACTERS) return refuse(answer, 502, "serve_failed", "Its answer is too large.");
    answer.head(response.status, [["content-type", "application/json"]], true);
    answer.write(Buffer.from(text));
    answer.end();
  }
}

function refuse(answer: Answer, status: number, code: string, error: string): void {
  answerJson(answer, status, { code, error });
}
