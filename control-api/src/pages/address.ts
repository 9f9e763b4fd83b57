/** Addresses of the pages about one machine or session. A session's id is the machine's own, so it is encoded. */
export function machinePath(name: string): string {
  return `/machines/${encodeURIComponent(name)}`;
}

export function sessionPath(machine: string, session: string): string {
  return `/sessions/${encodeURIComponent(machine)}/${encodeURIComponent(session.toWellFormed())}`;
}
