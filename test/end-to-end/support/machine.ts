import { randomUUID } from "node:crypto";
import { join } from "node:path";
import type { PushedEvent } from "#protocol/event.ts";
import { MachineDetail, Registration } from "#protocol/rest-api.ts";
import { Connector, type Stopped } from "../../../scripts/connector/connector.ts";
import { EventSpool } from "../../../scripts/connector/event-spool.ts";
import { machineFacts } from "../../../scripts/connector/facts.ts";
import { HttpTarget } from "../../../scripts/connector/http-target.ts";
import type { Target } from "../../../scripts/connector/target.ts";
import { until } from "./eventually.ts";
import type { TestOperator } from "./operator.ts";

export type MachineOptions = {
  /** The address that the machine dials, from Operator's answer to its registration. */
  readonly dial?: (linkUrl: string) => string;
  /** The machine's owner; without one, the loopback owner. */
  readonly token?: string;
};

/** A machine: registered as `codez setup` does, and connected by the real connector in this process. */
export class Machine implements AsyncDisposable {
  readonly name: string;
  readonly registration: Registration;
  readonly spool: EventSpool;
  readonly stopped: Promise<Stopped>;
  /** Epochs of its links, as Operator welcomed them. */
  readonly epochs: number[] = [];
  /** What the next dial is made with. */
  tokens: { readonly token: string; readonly formerToken?: string };
  readonly #operator: TestOperator;
  readonly #connector: Connector;
  readonly #target: Target;
  readonly #token: string | undefined;

  /** Ends when it is online. */
  static async add(
    operator: TestOperator,
    name: string,
    target: Target | URL,
    options: MachineOptions = {},
  ): Promise<Machine> {
    const registration = await register(operator, name, options.token);
    const served = target instanceof URL ? new HttpTarget(target, name, "Start it.") : target;
    const machine = new Machine(operator, registration, served, options);
    operator.own(machine);
    // Operator can know of the link a moment before this process does.
    await until(`${name}'s link is welcomed`, () => machine.epochs.length > 0);
    await machine.online();
    return machine;
  }

  private constructor(operator: TestOperator, registration: Registration, target: Target, options: MachineOptions) {
    const { linkUrl, token, name } = registration;
    this.name = name;
    this.tokens = { token: token ?? "" };
    this.registration = registration;
    this.spool = new EventSpool(join(operator.folder, `${registration.slug}.events`));
    this.#operator = operator;
    this.#target = target;
    this.#token = options.token;
    const dialled = options.dial?.(linkUrl) ?? linkUrl;
    this.#connector = new Connector({
      credentials: () => Promise.resolve({ linkUrl: dialled, ...this.tokens }),
      renamed: () => Promise.resolve(),
      facts: () => machineFacts("0.0.0"),
      target,
      spool: this.spool,
      random: () => 0,
      listener: { online: (epoch) => this.epochs.push(epoch) },
    });
    this.stopped = this.#connector.run();
  }

  /** Its own MCP endpoint, by path. */
  get url(): URL {
    return new URL(this.registration.mcpUrl);
  }

  /** Its own MCP endpoint, by host. */
  get hostUrl(): URL {
    return new URL(this.registration.mcpHostUrl);
  }

  async detail(): Promise<MachineDetail> {
    const { body } = await this.#operator.api("GET", `/api/machines/${this.name}`, undefined, this.#token);
    return MachineDetail.parse(body);
  }

  async online(): Promise<void> {
    await until(`${this.name} comes online`, async () => {
      const { body } = await this.#operator.api("GET", "/api/machines", undefined, this.#token);
      return JSON.stringify(body).includes(`"name":"${this.name}"`) && (await this.detail()).status === "online";
    });
  }

  push(...events: PushedEvent[]): void {
    this.spool.append(events);
    this.#connector.sendEvents();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#connector.stop("the test is over");
    await this.stopped;
    await this.#target.close();
  }
}

/** Adds a machine to the registry, and its script to the platform. */
export async function register(operator: TestOperator, name: string, token?: string): Promise<Registration> {
  const { status, body } = await operator.api("POST", "/api/machines", { name, identity: randomUUID() }, token);
  if (status !== 201) throw new Error(`${name} was not registered: ${JSON.stringify(body)}`);
  return Registration.parse(body);
}
