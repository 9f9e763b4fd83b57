/** A choice of one machine, or of all: the field `machine`, empty for all. `value`: what says which machine it is (http/shown-machine.ts). */
export function MachineSelect({
  machines,
}: {
  readonly machines: readonly { readonly name: string; readonly value: string }[];
}) {
  return (
    <select name="machine">
      <option value="">all machines</option>
      {machines.map(({ name, value }) => (
        <option value={value}>{name}</option>
      ))}
    </select>
  );
}
