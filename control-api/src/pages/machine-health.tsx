import { isRecord } from "#protocol/json.ts";
import { Foreign } from "../design/foreign.tsx";
import { Note } from "../design/note.tsx";
import { Status } from "../design/parts.tsx";
import type { MachineAnswer } from "./machine-call.ts";
import { machinePath } from "./address.ts";

/** Problems that are listed. `codez serve` knows about twenty kinds. */
const SHOWN_PROBLEMS = 30;

const MAX_PROBLEM_CHARACTERS = 1_000;

/** What a machine says about its own health, and about what it lets clients do. Everything here is the machine's word. */
export function HealthPage({ machine, answer }: { readonly machine: string; readonly answer: MachineAnswer }) {
  return (
    <div class="narrow">
      <a class="back" href={machinePath(machine)}>
        ‹ {machine}
      </a>
      {"failed" in answer ? (
        <>
          <h1>Health and policy</h1>
          <Note kind="warn">
            {answer.failed.code === "tool_unknown" ? (
              "This machine's server does not tell of its health: it is not a coding server."
            ) : (
              <Foreign text={answer.failed.message} limit={MAX_PROBLEM_CHARACTERS} />
            )}
          </Note>
        </>
      ) : (
        <Told machine={machine} told={answer.told} />
      )}
    </div>
  );
}

function Told({ machine, told }: { readonly machine: string; readonly told: Record<string, unknown> }) {
  const given = Array.isArray(told["problems"]) ? (told["problems"] as unknown[]) : [];
  const problems = given.filter((problem) => typeof problem === "string").slice(0, SHOWN_PROBLEMS);
  const [policy, agent, sessions] = [told["config"], told["agent"], told["sessions"]].map((one) =>
    isRecord(one) ? one : {},
  );
  return (
    <>
      <div class="head">
        <h1>Health of {machine}</h1>
        {told["ok"] === true ? <Status tone="good">No problems</Status> : <Status tone="warn">Look at it</Status>}
      </div>
      {problems.map((problem) => (
        <Note kind="warn">
          <Foreign text={problem} limit={MAX_PROBLEM_CHARACTERS} />
        </Note>
      ))}
      <section class="section">
        <h2>Agent</h2>
        <dl class="card facts">
          <Fact name="Name" value={agent?.["name"]} />
          <Fact name="Version" value={agent?.["version"]} />
          <Fact name="Signed in" value={agent?.["signed_in"]} />
          <Fact name="Live sessions" value={sessions?.["live"]} />
          <Fact name="Live sessions, at most" value={sessions?.["limit"]} />
        </dl>
      </section>
      <section class="section">
        <h2>Policy</h2>
        <dl class="card facts">
          <Fact name="Clients may" value={policy?.["read_only"] === true ? "only read" : "start and drive sessions"} />
          <Fact name="Highest permission mode" value={policy?.["max_permission_mode"]} />
          <Fact
            name="Permission requests"
            value={policy?.["respond_permission"] === true ? "clients may answer" : "answered on the machine"}
          />
          <Fact name="Folders" value={policy?.["drive"]} />
          <Fact name="Set in" value={policy?.["path"]} />
        </dl>
        <p class="soft">Only somebody at the machine can change this, in its serve.json.</p>
      </section>
    </>
  );
}

function Fact({ name, value }: { readonly name: string; readonly value: unknown }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>
        <Foreign text={textOf(value)} />
      </dd>
    </div>
  );
}

function textOf(value: unknown): string {
  if (typeof value === "boolean") return value ? "yes" : "no";
  if (typeof value === "string" || typeof value === "number") return String(value);
  return Array.isArray(value) ? value.filter((one) => typeof one === "string").join(", ") : "unknown";
}
