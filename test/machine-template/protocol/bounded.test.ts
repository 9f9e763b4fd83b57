import { expect, it } from "vitest";
import { boundedFacts, boundedSession } from "#protocol/bounded.ts";
import type { Facts } from "#protocol/control.ts";
import {
  MAX_CAPABILITIES,
  MAX_FACT_CHARACTERS,
  MAX_FACTS_CHARACTERS,
  MAX_PATH_CHARACTERS,
  MAX_REPOS,
  MAX_SESSION_ID_CHARACTERS,
} from "#protocol/limits.ts";

const LONG = "x".repeat(100_000);
const FACTS: Facts = {
  hostname: LONG,
  os: LONG,
  arch: LONG,
  cpus: 1,
  memoryBytes: 1,
  codez: LONG,
  agent: { name: LONG, version: LONG },
  repos: [],
  capabilities: [],
};

it("each of a machine's facts has its limit", () => {
  const repos = Array.from({ length: 1_000 }, (_, index) => ({ path: `/${index}` }));
  const bounded = boundedFacts({ ...FACTS, capabilities: Array(1_000).fill(LONG), repos });
  const { hostname, os, arch, codez, agent, capabilities } = bounded;
  for (const text of [hostname, os, arch, codez, agent?.name, agent?.version, ...capabilities])
    expect(text).toHaveLength(MAX_FACT_CHARACTERS);
  expect(capabilities).toHaveLength(MAX_CAPABILITIES);
  expect(bounded.repos).toHaveLength(MAX_REPOS);
});

it("all of them together have one, and what fits stays", () => {
  const repos = Array.from({ length: MAX_REPOS }, () => ({ path: LONG, remote: LONG, branch: LONG }));
  const bounded = boundedFacts({ ...FACTS, repos });
  expect(bounded.repos[0]?.path).toHaveLength(MAX_PATH_CHARACTERS);
  expect(JSON.stringify(bounded).length).toBeLessThanOrEqual(MAX_FACTS_CHARACTERS);
});

it("a session's id that is too long is none: a shortened one could be another's", () => {
  const id = "s".repeat(MAX_SESSION_ID_CHARACTERS);
  expect([boundedSession(id), boundedSession(`${id}s`), boundedSession(null)]).toEqual([id, null, null]);
});
