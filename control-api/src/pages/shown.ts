import type { OperatorError } from "#protocol/error.ts";
import { isMeant, type ShownMachine } from "../http/shown-machine.ts";
import type { MachineRecord } from "../machines/machine-record.ts";
import type { PageContext } from "../sign-in/page-context.ts";
import { registryOf } from "../user/user-rpc.ts";

/** Why a form must not be carried out that means this machine; `null` if its page showed the machine that has the name now. */
export async function refusalOf(c: PageContext, shown: ShownMachine): Promise<OperatorError | null> {
  const now = await meantBy(c, shown);
  return "code" in now ? now : null;
}

/** The machine that a form means, if its page showed the one that has the name now. */
export async function meantBy(c: PageContext, shown: ShownMachine): Promise<MachineRecord | OperatorError> {
  const { name } = shown;
  const now: MachineRecord | null = await registryOf(c.env, c.var.session.person.id).machine(name);
  if (now === null) return { code: "machine_unknown", machine: name };
  return isMeant(shown, now) ? now : { code: "machine_replaced", machine: name };
}
