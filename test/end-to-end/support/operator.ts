import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, inject } from "vitest";
import * as z from "zod";
import type { PublicDoor } from "../../../scripts/front/door.ts";
import type { Hostility } from "../../../scripts/local/platform/hostility/hostility.ts";
import { type RunningOperator, startOperator } from "../../../scripts/local/operator.ts";
import { until } from "./eventually.ts";
import "./bundles.ts";
import { hostilityOfTests } from "./hostility.ts";
import "./localhost.ts";
import { leftBehind } from "./processes.ts";

const Token = z.object({ token: z.string() });

/** A whole Operator, on a port and in a folder of its own. Everything it started has ended when it is disposed of. */
export class TestOperator implements AsyncDisposable {
  readonly folder: string;
  /** The Workers' log, for a test that fails. */
  readonly log: string[] = [];
  #vars: Record<string, string>;
  readonly #hostility: Partial<Hostility>;
  readonly #owned: AsyncDisposable[] = [];
  #running: RunningOperator | null = null;
  #port = 0;
  #address: string | null = null;
  /** Shown by the test's own calls to the API. */
  #token: string | null = null;
  /** The way in for callers from elsewhere, if there is one. */
  #publicDoor: PublicDoor | null = null;
  #dispatchPort: number | null = null;

  /** @param hostility in what the platform is otherwise unkind than it is to all tests */
  static async start(vars: Record<string, string> = {}, hostility: Partial<Hostility> = {}): Promise<TestOperator> {
    const operator = new TestOperator(await mkdtemp(join(tmpdir(), "operator-end-to-end-")), vars, hostility);
    await operator.start();
    return operator;
  }

  private constructor(folder: string, vars: Record<string, string>, hostility: Partial<Hostility>) {
    this.#hostility = hostility;
    this.folder = folder;
    this.#vars = vars;
  }

  get port(): number {
    return this.#port;
  }

  /** The address for the test's own calls. */
  get url(): string {
    return this.#address ?? `http://127.0.0.1:${this.#port}`;
  }

  /** From now on the test's own calls go this way, such as through a proxy. */
  reachedAt(address: string): void {
    this.#address = address;
  }

  /** From now on the test's own calls to the API show this token, unless they name another. */
  signedInWith(token: string): void {
    this.#token = token;
  }

  /** A token of the owner's. */
  async token(): Promise<string> {
    if (this.#token !== null) return this.#token;
    return Token.parse((await this.api("POST", "/api/tokens", { label: "tests" })).body).token;
  }

  /** From its next start on gates other than the control API reach the dispatch Worker, on this port. */
  openDispatch(port: number): void {
    this.#dispatchPort = port;
  }

  /** The platform under it, as its own API shows it. Of a running one. */
  get platform(): Pick<RunningOperator, "platformUrl" | "apiToken"> {
    if (this.#running === null) throw new Error("Operator does not run");
    return this.#running;
  }

  get mcpUrl(): URL {
    return new URL("/mcp", this.url);
  }

  /**
   * Starts it, at its second start on the port and with the state of the first. Unless `vars` say otherwise, a caller without a
   * token is the owner, because most tests are about something else.
   */
  async start(vars = this.#vars): Promise<void> {
    this.#vars = vars;
    const note = (line: string) => void this.log.push(line);
    this.#running = await startOperator({
      stateDir: join(this.folder, "state"),
      bundles: inject("bundles"),
      port: this.#port,
      publicDoor: this.#publicDoor,
      dispatchPort: this.#dispatchPort,
      vars: { ...(this.#publicDoor === null ? { LOOPBACK_OWNER: "owner" } : {}), ...this.#vars },
      hostility: hostilityOfTests(this.#hostility),
      report: note,
      log: note,
      logOf: () => note,
    });
    this.#port = this.#running.port;
  }

  /** From its next start on it is a public one. */
  open(publicDoor: PublicDoor): void {
    this.#publicDoor = publicDoor;
  }

  /** As a deployment of the control API: what goes through it ends, and scripts of machines go on. */
  async redeploy(): Promise<void> {
    await this.#running?.redeploy();
  }

  async stop(): Promise<void> {
    const running = this.#running;
    this.#running = null;
    await running?.stop();
  }

  /** Ends with this Operator, before it. */
  own(disposable: AsyncDisposable): void {
    this.#owned.push(disposable);
  }

  request(path: string, init: RequestInit = {}): Promise<Response> {
    return fetch(new URL(path, this.url), init);
  }

  /** A request with a JSON body, and the JSON of its answer. */
  async api(
    method: string,
    path: string,
    body?: unknown,
    token = this.#token ?? undefined,
  ): Promise<{ status: number; body: unknown }> {
    const response = await this.request(path, {
      method,
      headers: {
        "content-type": "application/json",
        ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    return { status: response.status, body: text === "" ? null : JSON.parse(text) };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const one of this.#owned.splice(0).toReversed()) await one[Symbol.asyncDispose]();
    await this.stop();
    await rm(this.folder, { recursive: true, force: true });
    await until("the end of every process that was started", () => leftBehind().length === 0).catch(() =>
      expect(leftBehind()).toEqual([]),
    );
  }
}
