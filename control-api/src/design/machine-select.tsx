type MachineSelectProps = {
  readonly machines: readonly { readonly name: string; readonly value: string }[];
  /** The value that was chosen before. */
  readonly chosen?: string | undefined;
};

/** A choice of one machine, or of all: the field `machine`, empty for all. `value`: what says which machine it is (http/shown-machine.ts). */
export function MachineSelect({ machines, chosen }: MachineSelectProps) {
  return (
    <select name="machine">
      <option value="">all machines</option>
      {machines.map(({ name, value }) => (
        <option value={value} selected={value === chosen}>
          {name}
        </option>
      ))}
    </select>
  );
}
