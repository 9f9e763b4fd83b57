import { createHash } from "node:crypto";

/**
 * A machine as a page showed it to its person. Until they click, its name may pass to another computer. So a form says which computer it means, by a
 * digest of the computer's identity: the identity itself is not for pages, because a machine that enrolled leaves by showing it.
 */
export type ShownMachine = { readonly name: string; readonly mark: string };

/** A machine as a caller means it: whatever has this name when it is their turn, or only the machine that a page showed. */
export type MeantMachine = string | ShownMachine;

/** A machine's name, and the identity of the computer that has it, or had. `""`: nobody knows which one that is. */
export type Identified = { readonly name: string; readonly identity: string };

/** Why nothing can be limited to a machine of which nobody knows which computer it is. */
export function whyUnknown(name: string): string {
  return `The list of machines was rebuilt, and which computer "${name}" is will be known again after \`codez setup\` was run on it.`;
}

/** Characters of the digest. Identities are random, so nobody finds another one with the same 128 bits. */
const MARK_CHARACTERS = 32;

/** The value of a form's field `machine`. */
export function shownAs(machine: Identified): string {
  const { name, mark } = shown(machine);
  return `${name}:${mark}`;
}

/** A machine as it is now: whatever gets its name later is not meant. */
export function shown({ name, identity }: Identified): ShownMachine {
  return { name, mark: markOf(identity) };
}

/** Machines to choose from in a form (design/machine-select.tsx). */
export function choicesOf(machines: readonly Identified[]): { name: string; value: string }[] {
  return machines.map((machine) => ({ name: machine.name, value: shownAs(machine) }));
}

/** The machines that a form carries in its fields `machine`. */
export function shownIn(form: FormData): ShownMachine[] {
  return form.getAll("machine").flatMap((value) => {
    const [, name, mark] = /^([a-z0-9-]{1,64}):([0-9a-f]{32})$/.exec(typeof value === "string" ? value : "") ?? [];
    return name === undefined || mark === undefined ? [] : [{ name, mark }];
  });
}

/** The machine of this name as the form's page showed it. A form that does not say which one it was means none that there is. */
export function shownNamed(form: FormData, name: string): ShownMachine {
  return shownIn(form).find((one) => one.name === name) ?? { name, mark: "" };
}

export function nameOf(machine: MeantMachine): string {
  return typeof machine === "string" ? machine : machine.name;
}

/** Whether `now`, which has the name now, is the machine that the caller means. */
export function isMeant(machine: MeantMachine, now: Pick<Identified, "identity">): boolean {
  return typeof machine === "string" || machine.mark === markOf(now.identity);
}

function markOf(identity: string): string {
  return createHash("sha256").update(identity).digest("hex").slice(0, MARK_CHARACTERS);
}
