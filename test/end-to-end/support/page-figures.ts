import { spawnSync } from "node:child_process";

// `npm run bench:pages`: an environment variable that also works where the shell has no `NAME=value command`.
const vitest = ["vitest", "run", "--project", "end-to-end", "test/end-to-end/page-figures.test.ts"];
const env = { ...process.env, OPERATOR_PAGE_FIGURES: "1", OPERATOR_KIND: "1" };
const { status } = spawnSync("npx", vitest, { stdio: "inherit", env });
process.exit(status ?? 1);
