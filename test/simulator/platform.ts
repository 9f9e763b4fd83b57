import { namesIn } from "#protocol/slug.ts";
import { app } from "../../machine-template/src/app.ts";
import type { Env as ScriptEnv } from "../../machine-template/src/env.ts";
import { Machine } from "../../machine-template/src/machine.ts";
import { api } from "./runtime/cloudflare.ts";
import { kernel } from "./runtime/kernel.ts";
import { SimulatedObject } from "./runtime/object.ts";

type Binding = { type: string; name: string; text?: string };
type Script = { bindings: Record<string, string>; tag: string | null; readonly machine: SimulatedObject<Machine> };

/** What becomes of a script's next report on its way. */
export type Fate = "arrives" | "lost" | "answer lost" | "late" | "slow";

/** How long a slow report is under way: less than its script waits for the answer (reporter.ts), so that other things happen meanwhile. */
const SLOW_MS = 2_000;

/**
 * Workers for Platforms: the API through which scripts are uploaded, and the way to them. An upload restarts a script and drops its
 * sockets; its storage stays.
 */
export class Platform {
  readonly scripts = new Map<string, Script>();
  /** By slug. */
  readonly fates = new Map<string, Fate>();
  readonly late: (() => Promise<unknown>)[] = [];
  /** Runs before each request to a script while a machine is renamed, which takes several: its connector goes on meanwhile. */
  meanwhile: (() => Promise<void>) | null = null;
  /** Slugs of scripts that got no answer to their last report. They will repeat it. */
  readonly unanswered = new Set<string>();
  readonly #sql: SqlStorage;
  readonly #reports: { fetch(request: Request): Promise<Response> };
  #prefixes = 0;

  constructor(sql: SqlStorage, reports: { fetch(request: Request): Promise<Response> }) {
    this.#sql = sql;
    this.#reports = reports;
    api.fetch = (url, init) => this.#answer(new URL(url).pathname.split("/scripts")[1] ?? "", init);
  }

  /** A request to a script, as the dispatch Worker passes it on. */
  async dispatch(slug: string, request: Request): Promise<Response> {
    await this.meanwhile?.();
    const script = this.scripts.get(slug);
    if (script === undefined)
      return Response.json({ error: { code: "machine_unknown", machine: namesIn(slug).name } }, { status: 404 });
    return kernel.during(app.fetch(request, this.#env(slug, script)));
  }

  /** The script runs anew: an upload, a crash, a deployment. */
  restart(slug: string): void {
    const script = this.scripts.get(slug);
    if (script === undefined) return;
    const { sockets } = script.machine;
    script.machine.sockets = [];
    script.machine.stop();
    for (const socket of sockets) {
      socket.readyState = 3;
      socket.wire = [{ close: { code: 1006, reason: "" } }];
    }
  }

  #env(slug: string, { bindings, machine }: Script): ScriptEnv {
    const control = {
      fetch: (url: string, init: RequestInit) => this.#report(slug, new Request(url, { ...init, signal: null })),
    };
    const namespace = { getByName: () => ({ fetch: (request: Request) => machine.call((one) => one.fetch(request)) }) };
    return { ...bindings, CONTROL: control, MACHINE: namespace } as unknown as ScriptEnv;
  }

  async #report(slug: string, request: Request): Promise<Response> {
    const fate = this.fates.get(slug) ?? "arrives";
    this.fates.delete(slug);
    this.unanswered.add(slug);
    const { machine, life } = this.#lifeOf(slug);
    const arrive = (): Promise<Response> => kernel.during(this.#reports.fetch(request.clone() as Request));
    // A report that a call waits for would hold up the simulation, in which nothing else happens during a call.
    const isSlow = fate === "slow" && machine?.isCalled === false;
    switch (fate) {
      case "slow":
      case "arrives": {
        const answer = await arrive();
        if (isSlow) await new Promise<void>((resolve) => void kernel.setTimer(resolve, SLOW_MS));
        // A script that was stopped meanwhile gets no answer.
        if (machine?.life !== life) return new Promise(() => undefined);
        this.unanswered.delete(slug);
        return answer;
      }
      case "lost":
        throw new Error("the report was lost");
      case "answer lost":
        await arrive();
        throw new Error("the answer to the report was lost");
      case "late":
        this.late.push(arrive);
        throw new Error("the report did not arrive in time");
    }
  }

  #lifeOf(slug: string): { machine: SimulatedObject<Machine> | undefined; life: number | undefined } {
    const machine = this.scripts.get(slug)?.machine;
    return { machine, life: machine?.life };
  }

  async #answer(path: string, init: RequestInit): Promise<Response> {
    const [, slug = "", part] = path.split("/");
    const script = this.scripts.get(slug);
    switch (init.method ?? "GET") {
      case "PUT":
        await this.#upload(slug, init.body as FormData);
        return success({ id: slug });
      case "DELETE":
        if (script === undefined) return missing();
        this.restart(slug);
        script.machine.wipe();
        this.scripts.delete(slug);
        return success(null);
      default:
        if (slug === "" || slug.startsWith("?")) return success([...this.scripts.keys()].map((id) => ({ id })));
        if (script === undefined) return missing();
        if (part === "settings")
          return success({
            bindings: Object.entries(script.bindings).map(([name, text]) => ({ type: "plain_text", name, text })),
          });
        return success({ dispatch_namespace: "operator", script: { id: slug, migration_tag: script.tag } });
    }
  }

  async #upload(slug: string, form: FormData): Promise<void> {
    const metadata = JSON.parse(form.get("metadata") as string) as {
      bindings: Binding[];
      migrations?: { new_tag: string };
    };
    const before = this.scripts.get(slug);
    const bindings: Record<string, string> = {};
    for (const { type, name, text } of metadata.bindings)
      bindings[name] = (type === "inherit" ? before?.bindings[name] : text) ?? "";
    const tag = metadata.migrations?.new_tag ?? before?.tag ?? null;
    if (before !== undefined) {
      Object.assign(before, { bindings, tag });
      this.restart(slug);
      return;
    }
    const script: Script = {
      bindings,
      tag,
      machine: new SimulatedObject<Machine>(
        slug,
        this.#sql,
        `s${this.#prefixes++}_`,
        (ctx) => new Machine(ctx, this.#env(slug, script)),
      ),
    };
    this.scripts.set(slug, script);
  }
}

function success(result: unknown): Response {
  return Response.json({ success: true, errors: [], messages: [], result });
}

function missing(): Response {
  const errors = [{ code: 10_007, message: "workers.api.error.script_not_found" }];
  return Response.json({ success: false, errors, messages: [], result: null }, { status: 404 });
}
