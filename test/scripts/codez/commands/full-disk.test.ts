import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { beforeAll, expect, it } from "vitest";
import { buildCodez } from "../../../../scripts/build/codez.ts";
import { temporaryFolder } from "../../connector/support/temporary-folder.ts";
import { HubStandIn } from "./support/hub-stand-in.ts";

beforeAll(() => buildCodez());

const BIN = fileURLToPath(new URL("../../../../scripts/codez/bin.js", import.meta.url));
const SERVER = fileURLToPath(new URL("../../connector/stdio/support/raw-server.ts", import.meta.url));

/** A tmpfs of one's own needs a mount namespace, which needs root (or user namespaces that allow it). */
const canMount =
  process.platform === "linux" &&
  spawnSync("unshare", ["-m", "sh", "-c", "mount -t tmpfs -o size=64k tmpfs /mnt"]).status === 0;

/** Everything that happens in the namespace: the disk is filled before `connect` starts, and freed once it is online. */
const SCRIPT = `
set -e
mount -t tmpfs -o size=256k,mode=700 tmpfs "$CODEZ_HOME"
"$NODE" "$BIN" setup attic --hub "$HUB" -- "$NODE" "$SERVER"
dd if=/dev/zero of="$CODEZ_HOME/filler" bs=1k 2>/dev/null || true
"$NODE" "$BIN" connect > "$OUT" 2>&1 &
connector=$!
until grep -q '^online:' "$OUT"; do kill -0 $connector; sleep 0.1; done
echo '--- status'
"$NODE" "$BIN" status
"$NODE" "$BIN" connect && exit 1 || echo "second connector: exit $?"
rm "$CODEZ_HOME/filler"
until grep -q 'written to disk again' "$OUT"; do kill -0 $connector; sleep 0.1; done
echo '--- events'
cat "$CODEZ_HOME/machines/attic.events"
kill $connector
wait $connector
echo "connector: exit $?"
`;

it.skipIf(!canMount)(
  "connect starts on a full disk, goes online and says so, and uses its files once there is room (needs root, for a tmpfs)",
  async () => {
    using home = temporaryFolder();
    using out = temporaryFolder();
    await using hub = await HubStandIn.start();
    const env = {
      ...process.env,
      CODEZ_HOME: home.path,
      HUB: hub.origin,
      NODE: process.execPath,
      BIN,
      SERVER,
      OUT: `${out.path}/connector.log`,
    };
    const shell = spawn("unshare", ["-m", "sh", "-c", SCRIPT], { env, stdio: ["ignore", "pipe", "pipe"] });
    let said = "";
    shell.stdout.on("data", (text) => (said += String(text)));
    shell.stderr.on("data", (text) => (said += String(text)));
    const [code] = await once(shell, "close");
    expect(said).toContain("connector: exit 0");
    expect(code).toBe(0);
    expect(said).toMatch(/--- status[^-]*status +online\n/);
    expect(said).toMatch(/connector +process \d+, online/);
    expect(said).toMatch(/disk/);
    expect(said).toContain("second connector: exit 7");
    expect(said).toContain('"type":"connector.disk_recovered"');
  },
);

const FIRST_SETUP = `
mount -t tmpfs -o size=1m,nr_inodes=2,mode=700 tmpfs "$CODEZ_HOME"
mkdir "$CODEZ_HOME/machines"
"$NODE" "$BIN" setup attic --hub "$HUB" -- "$NODE" "$SERVER"
echo "exit $?"
ls -A "$CODEZ_HOME/machines"
`;

it.skipIf(!canMount)(
  "setup on a disk with room for bytes and no more files says so in a sentence, and leaves nothing (needs root)",
  async () => {
    using home = temporaryFolder();
    await using hub = await HubStandIn.start();
    const env = { ...process.env, CODEZ_HOME: home.path, HUB: hub.origin, NODE: process.execPath, BIN, SERVER };
    const shell = spawn("unshare", ["-m", "sh", "-c", FIRST_SETUP], { env, stdio: ["ignore", "pipe", "pipe"] });
    let said = "";
    for (const output of [shell.stdout, shell.stderr]) output.on("data", (text) => (said += String(text)));
    await once(shell, "close");
    expect(said).toMatch(
      /^error: \S+: the disk has no room for more files, only for bytes\.\n {2}fix: See what is left .*\nexit 1\n$/m,
    );
    expect(said).not.toContain("syscall");
  },
);
