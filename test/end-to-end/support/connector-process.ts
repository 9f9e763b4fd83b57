import { createInterface } from "node:readline";
import * as z from "zod";
import { PushedEvent } from "#protocol/event.ts";
import { Connector } from "../../../scripts/connector/connector.ts";
import { EventSpool } from "../../../scripts/connector/event-spool.ts";
import { machineFacts } from "../../../scripts/connector/facts.ts";
import { HttpTarget } from "../../../scripts/connector/http-target.ts";

/**
 * The connector as a process that a test can kill: `node connector-process.ts <options as JSON>`. Events come in on standard
 * input, one a line; what happens goes out on standard output: `online <epoch>`, `taken` for each event that is on disk.
 */
const Options = z.object({
  linkUrl: z.string(),
  token: z.string(),
  target: z.string(),
  spool: z.string(),
});

if (import.meta.main) {
  const { linkUrl, token, target, spool } = Options.parse(JSON.parse(process.argv[2] ?? ""));
  const events = new EventSpool(spool);
  const connector = new Connector({
    credentials: () => Promise.resolve({ linkUrl, token }),
    renamed: () => Promise.resolve(),
    facts: () => machineFacts("0.0.0"),
    target: new HttpTarget(new URL(target), "machine", "Start it."),
    spool: events,
    random: () => 0,
    listener: { online: (epoch) => console.log(`online ${epoch}`) },
  });
  const input = createInterface({ input: process.stdin });
  input.on("close", () => process.exit()); // the process that started this is gone
  input.on("line", (line) => {
    events.append([PushedEvent.parse(JSON.parse(line))]);
    connector.sendEvents();
    console.log("taken");
  });
  await connector.run();
  process.exit();
}
