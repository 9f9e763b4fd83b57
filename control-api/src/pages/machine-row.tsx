import { Ago, dayOf } from "../design/ago.tsx";
import { Foreign } from "../design/foreign.tsx";
import { Row, type Tone } from "../design/parts.tsx";
import type { SessionLoad } from "../history/session-index.ts";
import type { MachineRecord } from "../machines/machine-record.ts";
import { machinePath } from "./address.ts";

/** What a machine's sessions do, in words. */
export function loadText({ running, waiting }: SessionLoad): string {
  const words = [running === 0 ? null : `${running} running`, waiting === 0 ? null : `${waiting} waiting for you`];
  return words.filter((one) => one !== null).join(", ");
}

/** Loads by the name of the machine. */
export function loadsByName(loads: readonly SessionLoad[]): ReadonlyMap<string, SessionLoad> {
  return new Map(loads.map((load) => [load.machine, load]));
}

/** How a machine is, in a word. */
export function machineCondition({ online, facts, lastSeenMs, kind }: MachineRecord): { tone: Tone; word: string } {
  if (kind === "hosted") return { tone: "good", word: "Hosted here" };
  if (online && facts?.server === "down") return { tone: "warn", word: "Its server does not answer" };
  if (online) return { tone: "good", word: "Online" };
  return lastSeenMs === null ? { tone: "none", word: "Never connected" } : { tone: "none", word: "Offline" };
}

type MachineRowProps = {
  readonly machine: MachineRecord;
  /** What its sessions do; absent if none of them runs or waits. */
  readonly load: SessionLoad | undefined;
};

/** A machine in a list. */
export function MachineRow({ machine, load }: MachineRowProps) {
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
            {load === undefined || !online ? null : `${loadText(load)} · `}
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
