import { expect, test } from "vitest";
import { codezLine } from "../../../control-api/src/pages/codez-line.ts";

const LOCAL = "http://127.0.0.1:8787";
const PUBLIC = "https://operator.example.com";

test("names `npx codez` in a clone's folder only: elsewhere npm's registry would be asked for a package of that name", () => {
  expect(codezLine({ ORIGIN: LOCAL }, "up")).toEqual({ line: "npx codez up", isInClone: true });
  for (const [env, line] of [
    [{ ORIGIN: LOCAL, WITHOUT_CLONE: "1" }, `npx -y ${LOCAL}/codez.tgz up`],
    [{ ORIGIN: PUBLIC }, `npx -y ${PUBLIC}/codez.tgz up`],
  ] as const)
    expect(codezLine(env, "up")).toEqual({ line, isInClone: false });
});
