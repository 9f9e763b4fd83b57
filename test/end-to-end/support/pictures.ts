import { spawnSync } from "node:child_process";

// `npm run pictures [folder]`: an environment variable that also works where the shell has no `NAME=value command`.
const folder = process.argv[2] ?? "pictures";
const vitest = ["vitest", "run", "--project", "end-to-end", "test/end-to-end/pictures.test.ts"];
const { status } = spawnSync("npx", vitest, { stdio: "inherit", env: { ...process.env, OPERATOR_PICTURES: folder } });
process.exit(status ?? 1);
