import { kernel } from "./kernel.ts";

/** `cloudflare:workers` and `agents`, as far as the code under simulation uses them. */

export function waitUntil(promise: Promise<unknown>): void {
  void kernel.during(promise).catch((reason: unknown) => kernel.lines.push(`waitUntil: ${String(reason)}`));
}

export class DurableObject<Env> {
  protected readonly ctx: DurableObjectState;
  protected readonly env: Env;
  constructor(ctx: DurableObjectState, env: Env) {
    this.ctx = ctx;
    this.env = env;
  }
}

export class WorkerEntrypoint<Env> {
  protected readonly ctx: ExecutionContext;
  protected readonly env: Env;
  constructor(ctx: ExecutionContext, env: Env) {
    this.ctx = ctx;
    this.env = env;
  }
}

export class Agent<Env> extends DurableObject<Env> {
  get name(): string {
    return this.ctx.id.name ?? "";
  }
  async schedule(afterS: number, method: string, payload: unknown): Promise<void> {
    kernel.running.getStore()?.schedule(afterS, method, payload);
  }
}
