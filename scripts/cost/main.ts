import { readFileSync } from "node:fs";
import { type Counts, monthOf } from "./month.ts";
import { PLAN_PRICE, PRICES_OF } from "./prices.ts";

/** `npm run cost`: what a month on Cloudflare costs, for some sizes and uses. */
const counts: Counts = JSON.parse(readFileSync(new URL("counts.json", import.meta.url), "utf8")); // a test checks it

const USES = [
  { title: "idle", callsPerMachineAndDay: 0, secondsPerCall: 0 },
  { title: "100 calls a day of 1 s", callsPerMachineAndDay: 100, secondsPerCall: 1 },
  { title: "1,000 calls a day of 1 s", callsPerMachineAndDay: 1_000, secondsPerCall: 1 },
  { title: "100 calls a day of 30 s", callsPerMachineAndDay: 100, secondsPerCall: 30 },
];

console.log(
  `US dollars a month at the prices of ${PRICES_OF}, of which ${PLAN_PRICE} are the plan (Workers for Platforms).`,
);
console.log("Each machine is online all the time and used like this:\n");
const row = (title: string, cells: readonly string[]): string =>
  title.padEnd(26) + cells.map((cell) => cell.padStart(16)).join("");
const SIZES = [10, 100, 1_000];
console.log(
  row(
    "",
    SIZES.map((machines) => `${machines} machines`),
  ),
);
for (const { title, ...use } of USES)
  console.log(
    row(
      title,
      SIZES.map((machines) => monthOf({ machines, ...use }, counts).total.toFixed(2)),
    ),
  );
console.log(
  "\nNot in it: storage (under 20 MB a machine) and what your clients and machines cost elsewhere. Nothing of this has been billed yet.",
);
