import { fileURLToPath } from "node:url";
import { cloudflareTest } from "@cloudflare/vitest-pool-workers";
import { defineConfig } from "vitest/config";
import { bundlesFolder } from "./test/support/bundles-folder.ts";
import { compileCache } from "./test/support/compile-cache.ts";
import { control } from "./test/support/stand-in/control.ts";
import { dispatcher } from "./test/support/stand-in/dispatcher.ts";
import { LongestFirst } from "./test/support/longest-first.ts";
import { temporaryInMemory } from "./test/support/memory-folder.ts";
import { packagesWithoutMaps } from "./test/support/packages-without-maps.ts";
import { simulated } from "./test/simulator/transform.ts";
import { outside } from "./test/support/stand-in/outside.ts";

const protocol = {
  find: /^#protocol\/(.*)$/,
  replacement: fileURLToPath(new URL("machine-template/protocol/$1", import.meta.url)),
};
const resolve = { alias: [protocol] };

/** Replaced in the control API's tests alone, and in none of its bundles. */
const passwordCost = {
  find: /^\.\/password-cost\.ts$/,
  replacement: fileURLToPath(new URL("test/support/stand-in/password-cost.ts", import.meta.url)),
};

/** SHA-256 of `link-token`, which machine tests dial in with. */
const LINK_TOKEN_HASH = "ad6fe9d88840916c1d51f8e395b7c76a767186787fc878d2a9f3fe516f8aa8ec";

/**
 * How long `expect.poll` waits for what must happen. Vitest's second is too short for a busy computer of two cores. A condition that holds
 * earlier is seen earlier, so a longer limit costs time only where a test fails. Every project's limit for a test is longer.
 */
const POLL = { expect: { poll: { timeout: 20_000 } } };

/**
 * Property tests draw the same examples in every run, so that a change is judged by what it does and not by what was drawn. What once failed
 * is kept in test/attacks/corpus/. `OPERATOR_SEED=<number> npm test` draws others.
 */
const PROPERTIES = {
  ...POLL,
  setupFiles: ["test/support/property-seed.ts"],
  provide: { propertySeed: Number(process.env["OPERATOR_SEED"] ?? 1) },
};

/**
 * A Worker's test files share three isolates, one after the other in each: loading the Worker again for each takes longer than its tests. Some of
 * them wait for half a minute, so three keep two cores busy.
 *
 * The longest others take three seconds, and six times as long on one core with other programs beside. A test's limit is there to end one that
 * hangs.
 */
const THREE_ISOLATES = {
  ...PROPERTIES,
  setupFiles: [...PROPERTIES.setupFiles, "test/support/one-prototype-proxy.ts"],
  isolate: false,
  maxWorkers: 3,
  testTimeout: 60_000,
  hookTimeout: 60_000,
  sequence: { groupOrder: 0 },
};

/**
 * What tests that start programs have in common: the programs that they install once, and processes that run one file after the other. Loading
 * the same modules again for each of 160 files took longer than many of them do. They mostly wait for programs, so two cores carry three.
 */
const PROCESSES = {
  ...PROPERTIES,
  globalSetup: ["test/peers/setup.ts"],
  provide: { ...PROPERTIES.provide, ...bundlesFolder() },
  env: { ...temporaryInMemory(), ...compileCache() },
  isolate: false,
  maxWorkers: 3,
  sequence: { groupOrder: 1 },
};

/**
 * Packages that Vite bundles before the control API's tests. workerd would load their 1,300 modules one by one, for each isolate again. Every path
 * that is imported is listed, or a class would exist twice.
 */
const NAMESPACES = "cloudflare/resources/workers-for-platforms/dispatch/namespaces";
const BUNDLED = [
  "cloudflare",
  "cloudflare/tree-shakable",
  `${NAMESPACES}/namespaces`,
  `${NAMESPACES}/scripts/scripts`,
  `${NAMESPACES}/scripts/settings`,
  "@simplewebauthn/server",
];

/**
 * What pool-workers reports when a Durable Object is called after the last test of a file, by a stream that was left open: its lease asks
 * whether its token is still valid. No test is affected.
 */
const AFTER_THE_LAST_TEST = 'Closing rpc while "resolve" was pending';

export default defineConfig({
  test: {
    sequence: { sequencer: LongestFirst },
    onUnhandledError: ({ message }) => (message?.includes(AFTER_THE_LAST_TEST) === true ? false : undefined),
    projects: [
      {
        resolve,
        test: {
          name: "protocol",
          ...PROPERTIES,
          include: ["test/machine-template/protocol/**/*.test.ts", "test/*.test.ts"],
          testTimeout: 30_000,
          isolate: false,
          maxWorkers: 3,
          sequence: { groupOrder: 1 },
        },
      },
      {
        resolve,
        plugins: [
          packagesWithoutMaps(),
          cloudflareTest({
            wrangler: { configPath: "./dispatch-worker/wrangler.jsonc" },
            miniflare: { bindings: { DISPATCH_SECRET: "gate-secret", DISPATCH_SECRET_PREVIOUS: "older-secret" } },
          }),
        ],
        test: { name: "dispatch-worker", include: ["test/dispatch-worker/**/*.test.ts"], ...THREE_ISOLATES },
      },
      {
        resolve,
        plugins: [
          packagesWithoutMaps(),
          cloudflareTest({
            wrangler: { configPath: "./machine-template/wrangler.jsonc" },
            miniflare: {
              bindings: {
                OWNER: "owner",
                NAME: "attic",
                SLUG: "attic",
                TEMPLATE: "t1",
                REPORT_KEY: "report-key",
                LINK_TOKEN_HASH,
                IDENTITY: "identity-of-attic",
                LINK_SECRET: "link-secret",
              },
              serviceBindings: { CONTROL: control() },
            },
          }),
        ],
        test: {
          name: "machine-template",
          include: ["test/machine-template/src/**/*.test.ts", "test/attacks/machine-template/**/*.test.ts"],
          ...THREE_ISOLATES,
        },
      },
      {
        resolve: { alias: [protocol, passwordCost] },
        plugins: [
          packagesWithoutMaps(),
          cloudflareTest({
            wrangler: { configPath: "./control-api/wrangler.jsonc" },
            miniflare: {
              bindings: {
                DISPATCH_SECRET: "gate-secret",
                REPORT_SECRET: "report-secret",
                SERVICE: "operator-2",
                CLOUDFLARE_API_TOKEN: "platform-token",
                CLOUDFLARE_ACCOUNT_ID: "local",
                CLOUDFLARE_API_URL: "http://platform.test/client/v4",
                CLAIM_CODE: "CLAIM-CLAIM-CLAIM-CLAIM",
                LOOPBACK_OWNER: "owner",
              },
              serviceBindings: { DISPATCHER: dispatcher() },
              outboundService: outside(),
            },
          }),
        ],
        test: {
          name: "control-api",
          deps: { optimizer: { ssr: { enabled: true, include: BUNDLED } } },
          include: ["test/control-api/**/*.test.ts", "test/attacks/control-api/**/*.test.ts"],
          ...THREE_ISOLATES,
        },
      },
      {
        resolve,
        plugins: [
          simulated(process.env["SIMULATE_PLANT"] ?? null),
          cloudflareTest({
            wrangler: { configPath: "./test/simulator/wrangler.jsonc" },
            miniflare: {
              bindings: {
                SIMULATE_SEED: process.env["SIMULATE_SEED"] ?? "1",
                SIMULATE_SEEDS: process.env["SIMULATE_SEEDS"] ?? "1000",
                SIMULATE_PLANT: process.env["SIMULATE_PLANT"] ?? "",
              },
            },
          }),
        ],
        test: { name: "simulator", include: ["test/simulator/**/*.test.ts"], ...THREE_ISOLATES },
      },
      {
        resolve,
        test: {
          name: "scripts",
          include: ["test/scripts/**/*.test.ts", "test/attacks/scripts/**/*.test.ts"],
          ...PROCESSES,
          globalSetup: [...PROCESSES.globalSetup, "test/scripts/local/support/stand-in-folder.ts"],
          testTimeout: 120_000,
          hookTimeout: 180_000,
        },
      },
      {
        resolve,
        test: {
          name: "end-to-end",
          include: ["test/end-to-end/**/*.test.ts", "test/attacks/end-to-end/**/*.test.ts"],
          ...PROCESSES,
          globalSetup: [...PROCESSES.globalSetup, "test/end-to-end/support/bundles.ts"],
          testTimeout: 240_000,
          hookTimeout: 240_000,
        },
      },
    ],
  },
});
