import type { Env } from "../env.ts";
import { Copy } from "../design/parts.tsx";
import { shownAs } from "../http/shown-machine.ts";
import type { MachineRecord } from "../machines/machine-record.ts";
import { machinePath } from "./address.ts";
import { codezLine } from "./codez-line.ts";

type ConfirmProps = { readonly change: "remove" | "rotate"; readonly machine: MachineRecord; readonly csrf: string };

/** Asks once more before a change that cuts a machine off. A page of its own, so that it needs no script. */
export function ConfirmChange({ change, machine, csrf }: ConfirmProps) {
  const { name, online, kind } = machine;
  const path = machinePath(name);
  return (
    <div class="narrow">
      <a class="back" href={path}>
        ‹ {name}
      </a>
      <section class="card">
        <h1>{change === "remove" ? `Remove ${name}?` : `Disconnect ${name}?`}</h1>
        {change === "remove" ? (
          <>
            <p>
              {kind === "hosted"
                ? "The server is deleted, with its versions, secrets and data."
                : "Its link is closed and it leaves the list. Nothing on the computer itself changes, and it can be added again. What Operator saw of its sessions stays, until you run codez forget."}
            </p>
            {online && kind !== "hosted" ? <p>It is online now. Calls that are under way end with an error.</p> : null}
          </>
        ) : (
          <p>
            Its link token stops working at once, and its connection is closed. Do this if you think that somebody
            copied the token. To connect it again, somebody has to run a command on the computer itself.
          </p>
        )}
        <form method="post" action={`${path}/${change}`} data-once>
          <input type="hidden" name="csrf" value={csrf} />
          <input type="hidden" name="machine" value={shownAs(machine)} />
          <div class="row">
            <a class="button plain" href={path}>
              Cancel
            </a>
            <button class="danger">{change === "remove" ? "Remove" : "Disconnect"}</button>
          </div>
        </form>
      </section>
    </div>
  );
}

/** After a token was replaced: how the machine gets the new one. */
export function RotatedPage({ name, env }: { readonly name: string; readonly env: Env }) {
  const { line, isInClone } = codezLine(env, `setup ${name}`);
  return (
    <div class="narrow">
      <a class="back" href={machinePath(name)}>
        ‹ {name}
      </a>
      <section class="card">
        <h1>{name} is disconnected</h1>
        <p>
          Its former token works no more. To connect it again, run on that computer
          {isInClone ? ", in the folder where you started Operator:" : ":"}
        </p>
        <Copy text={line} label="the command" />
        <p class="soft">It keeps its name, its sessions and its log.</p>
      </section>
    </div>
  );
}
