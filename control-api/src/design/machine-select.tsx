/** A choice of one machine, or of all: the field `machine`, empty for all. */
export function MachineSelect({ machines }: { readonly machines: readonly string[] }) {
  return (
    <select name="machine">
      <option value="">all machines</option>
      {machines.map((name) => (
        <option value={name}>{name}</option>
      ))}
    </select>
  );
}
