import { type ChildProcessByStdio, spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type { Readable, Writable } from "node:stream";
import { fileURLToPath } from "node:url";
import type { PushedEvent } from "#protocol/event.ts";
import { MachineDetail, Registration } from "#protocol/rest-api.ts";
import { sdk, upload } from "../../scripts/local/support/harness.ts";
import { until } from "./eventually.ts";
import type { TestOperator } from "./operator.ts";

/** The template of every machine script. */
const TEMPLATE = fileURLToPath(new URL("../../../control-api/build/machine.js.txt", import.meta.url));

const PROGRAM = fileURLToPath(new URL("connector-process.ts", import.meta.url));

/** A machine whose connector is a process of its own, to be killed and started again. */
export class KillableMachine implements AsyncDisposable {
  readonly name: string;
  readonly registration: Registration;
  readonly #operator: TestOperator;
  readonly #target: URL;
  readonly #dial: (linkUrl: string) => string;
  #process: ChildProcessByStdio<Writable, Readable, null> | null = null;
  #online = 0;
  #taken = 0;

  static async add(
    operator: TestOperator,
    name: string,
    target: URL,
    dial: (linkUrl: string) => string = (linkUrl) => linkUrl,
  ): Promise<KillableMachine> {
    const identity = randomUUID();
    const { body } = await operator.api("POST", "/api/machines", { name, identity });
    const machine = new KillableMachine(operator, name, Registration.parse(body), target, dial);
    operator.own(machine);
    await machine.start();
    return machine;
  }

  private constructor(
    operator: TestOperator,
    name: string,
    registration: Registration,
    target: URL,
    dial: (linkUrl: string) => string,
  ) {
    this.#operator = operator;
    this.name = name;
    this.registration = registration;
    this.#target = target;
    this.#dial = dial;
  }

  get url(): URL {
    return new URL(this.registration.mcpUrl);
  }

  /** The connector's process. */
  get pid(): number {
    return this.#process?.pid ?? 0;
  }

  /** Events that are on the machine's disk, for the connector to send. */
  get taken(): number {
    return this.#taken;
  }

  /** Links that Operator has welcomed. */
  get links(): number {
    return this.#online;
  }

  /** Starts the connector; ends when the machine is online. */
  async start(): Promise<void> {
    const options = {
      linkUrl: this.#dial(this.registration.linkUrl),
      token: this.registration.token,
      target: this.#target.href,
      spool: join(this.#operator.folder, `${this.registration.slug}.events`),
    };
    const child = spawn(process.execPath, [PROGRAM, JSON.stringify(options)], { stdio: ["pipe", "pipe", "inherit"] });
    child.stdin.on("error", () => undefined); // it was killed with events on their way to it
    this.#process = child;
    const before = this.#online;
    createInterface({ input: child.stdout }).on("line", (line) => {
      if (line === "taken") this.#taken += 1;
      if (line.startsWith("online")) this.#online += 1;
    });
    // Operator may still show the link of the process that was killed.
    await until(`${this.name}'s own link is welcomed`, () => this.#online > before);
    await this.online();
  }

  /** Ends the connector as a crash does, without a chance to say anything. */
  async kill(): Promise<void> {
    const child = this.#process;
    if (child === null) return;
    this.#process = null;
    const ended = once(child, "exit");
    child.kill("SIGKILL");
    await ended;
  }

  /** Uploads the machine's script again behind Operator's back, as one of that template's version. */
  replaceScript(template: string): Promise<void> {
    return replaceScript(this.#operator, this.registration.slug, template);
  }

  /** Has Operator replace a script of another template by its own. */
  async upgrade(): Promise<void> {
    const { body } = await this.#operator.api("POST", `/api/machines/${this.name}/upgrade`);
    if (JSON.stringify(body) !== `{"upgraded":true}`) throw new Error(`not upgraded: ${JSON.stringify(body)}`);
  }

  async detail(): Promise<MachineDetail> {
    const { body } = await this.#operator.api("GET", `/api/machines/${this.name}`);
    return MachineDetail.parse(body);
  }

  async online(): Promise<void> {
    await until(`${this.name} comes online`, async () => {
      const detail = await this.detail().catch(() => null); // Operator may be restarting
      return detail?.state?.online === true;
    });
  }

  /** Gives the connector an event; resolves once it is on disk there, or never will be. */
  async push(event: PushedEvent): Promise<void> {
    const child = this.#process;
    if (child === null) throw new Error("the connector does not run");
    const before = this.#taken;
    child.stdin.write(`${JSON.stringify(event)}\n`);
    await until(
      "an event is taken",
      () => this.#taken > before || child.exitCode !== null || child.signalCode !== null,
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
  }
}

/** Uploads a machine's script again behind Operator's back, as one of that template's version. */
export async function replaceScript(operator: TestOperator, slug: string, template: string): Promise<void> {
  const { platformUrl, apiToken } = operator.platform;
  const inherited = ["MACHINE", "OWNER", "NAME", "SLUG", "LINK_TOKEN_HASH", "REPORT_KEY", "CONTROL"];
  await upload(sdk(platformUrl, apiToken).withOptions({ maxRetries: 3 }), slug, readFileSync(TEMPLATE, "utf8"), {
    compatibility_flags: ["enable_request_signal"],
    bindings: [
      ...inherited.map((name) => ({ type: "inherit", name })),
      { type: "plain_text", name: "TEMPLATE", text: template },
    ],
  });
}
