import { createHash, randomBytes, randomUUID } from "node:crypto";
import { makeLinkToken } from "#protocol/link-token.ts";
import { MachineReport, MachineState, ScriptPath } from "#protocol/script-api.ts";
import { MIGRATION_TAG, uploadForm } from "#protocol/machine-upload.ts";
import { parseJson } from "#protocol/json.ts";
import { answerJson, Connector, emptySpool, machineFacts, type Target } from "../../connector/index.ts";
import type { Finding } from "../../operator/finding.ts";
import { type CheckApi, codesIn } from "./check-api.ts";
import { reportsForm } from "./reports-worker.ts";

/** The API's refusal of a migration that a script has already: "Migration tag precondition failed". */
const MIGRATION_MISMATCH = 10_079;

/** A new name on workers.dev, and an upload that takes effect late, may take minutes. */
const PATIENCE_MS = 5 * 60_000;
const ASK_EVERY_MS = 500;

export type CheckOptions = {
  readonly api: CheckApi;
  /** Where a script is served. */
  readonly urlOf: (name: string) => string;
  /** The machine template's code. */
  readonly template: string;
  /** How long the link is left alone, so that its object hibernates. Cloudflare's do so after about 10 s. */
  readonly idleMs: number;
  /** Called with each result as it comes. */
  readonly say: (finding: Finding) => void;
};

/**
 * Uploads a machine's script to an account as the control API would, and uses it: what Operator relies on and no stand-in can prove. A
 * free account suffices, because its scripts take the same form as those of a dispatch namespace. It makes two scripts with names of its
 * own, and deletes both at its end.
 */
export class CloudflareCheck {
  readonly #options: CheckOptions;
  readonly #id = randomBytes(4).toString("hex");
  readonly #owner = randomUUID();
  readonly #secret = randomBytes(32).toString("hex");
  readonly #reportKey = randomBytes(32).toString("hex");
  #token = "";
  #isUploaded = false;

  constructor(options: CheckOptions) {
    this.#options = options;
  }

  get #machine(): string {
    return `operator-check-machine-${this.#id}`;
  }

  get #reports(): string {
    return `operator-check-reports-${this.#id}`;
  }

  /** Answers whether everything was as Operator needs it. It stops at the first thing that was not. */
  async run(): Promise<boolean> {
    try {
      await this.#uploads();
      await this.#use();
      return true;
    } catch (reason) {
      const says = reason instanceof Error ? reason.message : String(reason);
      const fix = "Operator would not work in this account as it is. Please report this with all lines above.";
      this.#options.say({ level: "problem", says, fix });
      return false;
    } finally {
      await this.#cleanUp();
    }
  }

  async #uploads(): Promise<void> {
    const { api } = this.#options;
    this.#token = await makeLinkToken(this.#secret, Date.now() + PATIENCE_MS * 4);
    await api.upload(this.#reports, reportsForm(this.#reportKey));
    await this.#upload("check-1", false);
    this.#isUploaded = true;
    this.#ok("the API takes a machine script's first upload: form, tags, observability, migration, service entrypoint");

    const tag = await api.migrationTag(this.#machine);
    if (tag !== MIGRATION_TAG) throw new Error(`the script's migration tag is ${tag}, and not ${MIGRATION_TAG}`);
    this.#ok("the API says which migration the script has");

    const codes: number[] = await this.#upload("check-1", false).then(() => [], codesIn);
    if (!codes.includes(MIGRATION_MISMATCH))
      throw new Error(
        `the migration was sent again, and the API answered ${codes.join(", ") || "yes"}, not ${MIGRATION_MISMATCH}`,
      );
    this.#ok("the API refuses a migration that the script has, in the words that Operator looks for");

    await this.#upload("check-1", true);
    this.#ok("an upload without the migration replaces the script");
  }

  async #use(): Promise<void> {
    const { api, idleMs } = this.#options;
    for (const name of [this.#reports, this.#machine]) await api.publish(name);
    await this.#until("the script answers at its address", async () => (await this.#state()) !== null);
    this.#ok("the script answers, and its Durable Object with it");

    const epochs: number[] = [];
    const connector = this.#connector((epoch) => epochs.push(epoch));
    const ended = connector.run();
    try {
      await this.#until("the machine is linked", () => Promise.resolve(epochs.length > 0));
      await this.#call("first");
      this.#ok("a machine links over a WebSocket, and a call crosses it");

      await this.#until("a report", async () => (await this.#lastReport())?.presence.online === true);
      this.#ok("reports arrive at another Worker's entrypoint, through the service binding");

      await new Promise((resolve) => setTimeout(resolve, idleMs));
      if (epochs.length !== 1) throw new Error(`the link dropped within ${idleMs / 1000} s in which nothing was sent`);
      await this.#call("after idling");
      this.#ok(`the link outlives ${idleMs / 1000} s in which the object may hibernate, and wakes it`);

      const uploadedMs = Date.now();
      await this.#upload("check-2", true);
      await this.#until("the new script", async () => (await this.#state())?.template === "check-2");
      const lateS = Math.round((Date.now() - uploadedMs) / 100) / 10;
      await this.#until("a new link", () => Promise.resolve(epochs.length > 1));
      await this.#call("after an upload");
      this.#ok(`an upload takes effect after ${lateS} s, drops the link, and the machine dials again`);
    } finally {
      connector.stop("the check is over");
      await ended;
    }
  }

  async #upload(template: string, isMigrated: boolean): Promise<void> {
    const hash = createHash("sha256").update(this.#token).digest("hex");
    const form = uploadForm({
      script: {
        slug: this.#machine,
        name: "check",
        owner: this.#owner,
        identity: "check",
        linkTokenHash: hash,
        linkIssuedMs: 1,
        linkKey: null,
      },
      module: this.#options.template,
      template,
      reportKey: this.#reportKey,
      linkSecret: this.#secret,
      isMigrated,
      reportsTo: this.#reports,
    });
    await this.#options.api.upload(this.#machine, form);
  }

  #connector(online: (epoch: number) => void): Connector {
    const linkUrl = new URL(ScriptPath.LINK, this.#options.urlOf(this.#machine)).href.replace(/^http/, "ws");
    return new Connector({
      credentials: () => Promise.resolve({ linkUrl, token: this.#token }),
      renamed: () => Promise.resolve(),
      facts: () => machineFacts("check"),
      target: ECHO,
      spool: emptySpool("check"),
      listener: { online },
    });
  }

  async #call(word: string): Promise<void> {
    const answer = await this.#ask(ScriptPath.MCP, { method: "POST", body: JSON.stringify({ word }) });
    const text = await answer.text();
    if (text !== JSON.stringify({ word })) throw new Error(`a call was answered with HTTP ${answer.status}: ${text}`);
  }

  async #state(): Promise<MachineState | null> {
    const answer = await this.#ask(ScriptPath.STATE).catch(() => null); // its name may not be known yet
    return MachineState.safeParse(answer === null ? null : parseJson(await answer.text())).data ?? null;
  }

  async #lastReport(): Promise<MachineReport | null> {
    const headers = { "x-check-key": this.#reportKey, "user-agent": "operator-check" };
    const answer = await fetch(this.#options.urlOf(this.#reports), { headers }).catch(() => null);
    return MachineReport.safeParse(answer === null ? null : parseJson(await answer.text())).data ?? null;
  }

  /** A request as the dispatch Worker would make it. The owner's id is random, so nobody else can make one. */
  #ask(path: string, init: RequestInit = {}): Promise<Response> {
    const headers = {
      "x-operator-caller": this.#owner,
      "user-agent": "operator-check",
      "content-type": "application/json",
    };
    return fetch(new URL(path, this.#options.urlOf(this.#machine)), { ...init, headers });
  }

  async #until(what: string, isSo: () => Promise<boolean>): Promise<void> {
    const endMs = Date.now() + PATIENCE_MS;
    while (!(await isSo())) {
      if (Date.now() > endMs) throw new Error(`${what}: not within ${PATIENCE_MS / 60_000} minutes`);
      await new Promise((resolve) => setTimeout(resolve, ASK_EVERY_MS));
    }
  }

  #ok(says: string): void {
    this.#options.say({ level: "ok", says });
  }

  async #cleanUp(): Promise<void> {
    // The machine first: it is bound to the other, which the API does not delete before.
    for (const name of this.#isUploaded ? [this.#machine, this.#reports] : [this.#reports])
      await this.#options.api.delete(name).catch((reason: unknown) => {
        const fix = `Delete it yourself: dash.cloudflare.com, Workers & Pages, ${name}.`;
        this.#options.say({ level: "warning", says: `${name} could not be deleted: ${String(reason)}`, fix });
      });
  }
}

/** A machine's server that answers with what it was sent. */
const ECHO: Target = {
  serve: ({ body }, answer) =>
    answerJson(answer, 200, body instanceof Uint8Array ? parseJson(Buffer.from(body).toString()) : null),
  close: () => Promise.resolve(),
};
