import { expect, test } from "vitest";
import { EventLog } from "../../../scripts/serve/event-log.ts";
import { MessageTeller } from "../../../scripts/serve/session/tell-message.ts";

test("the names of the last 1,000 tools in use are kept: some never get a result", () => {
  const events = new EventLog();
  const teller = new MessageTeller(events);
  const tell = (part: object): void =>
    teller.tell("s", { id: "m", role: "assistant", parts: [part as never], parentToolUse: null });
  for (let use = 0; use <= 1_000; use += 1) tell({ type: "tool_use", id: `use-${use}`, tool: "Bash", input: {} });
  const { end } = events;
  for (const toolUse of ["use-0", "use-1"]) tell({ type: "tool_result", toolUse, text: "", isError: false });
  const finished = events.read(end, null).events.filter(({ type }) => type === "tool.finished");
  expect(finished.map(({ data }) => data["tool"])).toEqual([null, "Bash"]);
});
