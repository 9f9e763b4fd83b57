import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { existsSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { PEERS_FOLDER } from "./bin.ts";

/** A slow registry may need minutes for half a gigabyte; after this nobody is still working on it. */
const INSTALL_LIMIT_MS = 10 * 60_000;

/** How often a second test run checks whether the first has finished installing. */
const LOCK_POLL_MS = 250;

const LOCK = join(PEERS_FOLDER, ".installing");
const STAMP = join(PEERS_FOLDER, "node_modules", ".installed-lock");

/** Vitest's global setup: `npm ci` in this folder unless what is there was made from today's lock file. */
export default async function setup(): Promise<void> {
  if (isCurrent()) return;
  using _lock = await takeLock();
  if (isCurrent()) return;
  console.log("installing the programs that tests talk to (test/peers); this happens once");
  await install();
  writeFileSync(STAMP, lockHash());
}

function isCurrent(): boolean {
  return existsSync(STAMP) && readFileSync(STAMP, "utf8") === lockHash();
}

/** Over both files: an approval of an install script changes package.json alone. */
function lockHash(): string {
  const hash = createHash("sha256");
  for (const file of ["package.json", "package-lock.json"]) hash.update(readFileSync(join(PEERS_FOLDER, file)));
  return hash.digest("hex");
}

/** Two test runs in one clone must not both empty `node_modules`. */
async function takeLock(): Promise<Disposable> {
  const giveUpAtMs = Date.now() + INSTALL_LIMIT_MS;
  while (Date.now() < giveUpAtMs) {
    try {
      mkdirSync(LOCK);
      return { [Symbol.dispose]: () => rmSync(LOCK, { recursive: true, force: true }) };
    } catch (error) {
      if (!(error instanceof Error && "code" in error && error.code === "EEXIST")) throw error;
    }
    // Its maker was killed: nothing installs for longer than the limit.
    const madeAtMs = statSync(LOCK, { throwIfNoEntry: false })?.mtimeMs ?? Date.now();
    if (Date.now() - madeAtMs > INSTALL_LIMIT_MS) rmSync(LOCK, { recursive: true, force: true });
    else await sleep(LOCK_POLL_MS);
  }
  throw new Error(`another run holds ${LOCK}; remove that folder if there is none`);
}

async function install(): Promise<void> {
  const npm = spawn("npm", ["ci", "--no-audit", "--no-fund", "--loglevel=error"], {
    cwd: PEERS_FOLDER,
    stdio: ["ignore", "inherit", "inherit"],
    timeout: INSTALL_LIMIT_MS,
    shell: process.platform === "win32",
  });
  const [code] = await once(npm, "exit");
  if (code !== 0) throw new Error(`npm ci in ${PEERS_FOLDER} ended with ${String(code)}`);
}

// `node test/peers/setup.ts` installs without a test run.
if (import.meta.main) await setup();
