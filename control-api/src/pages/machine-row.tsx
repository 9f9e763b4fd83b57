import { Ago, dayOf } from "../design/ago.tsx";
import { Foreign } from "../design/foreign.tsx";
import { Row, type Tone } from "../design/parts.tsx";
import type { MachineRecord } from "../machines/machine-record.ts";
import { machinePath } from "./address.ts";

/** How a machine is, in a word. */
export function machineCondition({ online, facts, lastSeenMs, kind }: MachineRecord): { tone: Tone; word: string } {
  if (kind === "hosted") return { tone: "good", word: "Hosted here" };
  if (online && facts?.server === "down") return { tone: "warn", word: "Its server does not answer" };
  if (online) return { tone: "good", word: "Online" };
  return lastSeenMs === null ? { tone: "none", word: "Never connected" } : { tone: "none", word: "Offline" };
}

/** A machine in a list. */
export function MachineRow({ machine }: { readonly machine: MachineRecord }) {
  const { name, facts, online, lastSeenMs, createdMs, link } = machine;
  const { tone, word } = machineCondition(machine);
  const isCopied = link?.refused != null;
  return (
    <Row
      href={machinePath(name)}
      tone={isCopied ? "bad" : tone}
      name={name}
      end={
        online || lastSeenMs === null ? (
          word
        ) : (
          <>
            {word} · <Ago ms={lastSeenMs} />
          </>
        )
      }
      more={
        isCopied ? (
          "Its link token was copied: look at this machine"
        ) : facts === null ? (
          `Added ${dayOf(createdMs)}`
        ) : (
          <>
            <Foreign text={facts.hostname} />
            {" · "}
            <Foreign text={`${facts.os} ${facts.arch}`} />
            {facts.agent === null ? null : (
              <>
                {" · "}
                <Foreign text={`${facts.agent.name} ${facts.agent.version}`} />
              </>
            )}
          </>
        )
      }
    />
  );
}
