import { Client } from "@modelcontextprotocol/client";
import * as z from "zod";
import { client } from "./clients.ts";

export const Event = z.object({
  machine: z.string(),
  seq: z.number(),
  type: z.string(),
  session: z.string().nullable(),
  data: z.unknown(),
});
export type Event = z.infer<typeof Event>;

const Polled = z.object({
  events: z.array(Event),
  cursor: z.string(),
  more: z.boolean(),
  gaps: z.array(z.string()),
});
export type Polled = z.infer<typeof Polled>;

/** Someone who follows the machines' events with `poll_events`, as any client does. */
export class Poller implements AsyncDisposable {
  readonly events: Event[] = [];
  readonly gaps: string[] = [];
  cursor: string;
  readonly #client: Client & AsyncDisposable;

  /** Begins where the logs end now. */
  static async start(url: URL): Promise<Poller> {
    const made = await client(url, "2026-07-28");
    return new Poller(made, (await poll(made, {})).cursor);
  }

  private constructor(made: Client & AsyncDisposable, cursor: string) {
    this.#client = made;
    this.cursor = cursor;
  }

  /** Reads on, to the end of what there is. */
  async read(args: object = {}): Promise<Polled> {
    for (;;) {
      const polled = await poll(this.#client, { cursor: this.cursor, ...args });
      this.cursor = polled.cursor;
      this.events.push(...polled.events);
      this.gaps.push(...polled.gaps);
      if (!polled.more) return polled;
    }
  }

  /** One machine's own events, without those about its presence. */
  saidBy(machine: string): unknown[] {
    return this.events
      .filter((one) => one.machine === machine && !one.type.startsWith("machine."))
      .map(({ data }) => data);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#client[Symbol.asyncDispose]();
  }
}

async function poll(made: Client, args: object): Promise<Polled> {
  const { structuredContent } = await made.callTool({ name: "poll_events", arguments: { timeout_ms: 0, ...args } });
  return Polled.parse(structuredContent);
}
