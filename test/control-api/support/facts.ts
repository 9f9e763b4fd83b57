/** What a machine of the tests tells of itself. */
export const FACTS = {
  hostname: "attic",
  os: "linux",
  arch: "x64",
  cpus: 1,
  memoryBytes: 1,
  codez: "0.3.0",
  agent: null,
  repos: [],
  capabilities: [] as string[],
};
