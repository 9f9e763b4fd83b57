import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** Whether this process may make network namespaces: root, on Linux with iproute2. */
export function canMakeComputers(): boolean {
  const name = `operator-probe-${process.pid}`;
  try {
    execFileSync("ip", ["netns", "add", name], { stdio: "ignore" });
    execFileSync("ip", ["netns", "delete", name], { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
}

export type Ended = { readonly code: number | null; readonly output: string };

/** A program that runs on one of the computers. */
export class Program {
  readonly child: ChildProcess;
  readonly ended: Promise<Ended>;
  #output = "";

  constructor(child: ChildProcess) {
    this.child = child;
    for (const stream of [child.stdout, child.stderr])
      stream?.setEncoding("utf8").on("data", (text: string) => (this.#output += text));
    this.ended = new Promise((resolve) => {
      child.on("close", (code) => resolve({ code, output: this.#output }));
    });
  }

  get output(): string {
    return this.#output;
  }

  /** Resolves with the match once the program has said it. */
  async says(pattern: RegExp, limitMs = 60_000): Promise<RegExpExecArray> {
    const untilMs = Date.now() + limitMs;
    for (;;) {
      const match = pattern.exec(this.#output);
      if (match !== null) return match;
      if (Date.now() > untilMs) throw new Error(`it never said ${pattern}: ${this.#output}`);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
}

/**
 * Computers on a network of their own: each is a network namespace with an address, its own loopback, home folder and names.
 * It cannot be reached from outside this test.
 */
export class Network implements AsyncDisposable {
  readonly #bridge: string;
  readonly #computers: Computer[] = [];
  readonly #folder = mkdtempSync(join(tmpdir(), "operator-network-"));
  readonly #hosts: string;

  /** @param names host names by address, as every computer's /etc/hosts has them */
  constructor(names: Readonly<Record<string, string>>) {
    this.#bridge = `op${process.pid}`;
    this.#hosts = `127.0.0.1 localhost\n::1 localhost\n${Object.entries(names)
      .map(([name, address]) => `${address} ${name}\n`)
      .join("")}`;
    ip("netns", "add", this.#bridge);
    ip("-n", this.#bridge, "link", "add", "lan", "type", "bridge");
    ip("-n", this.#bridge, "link", "set", "lan", "up");
  }

  add(name: string, address: string): Computer {
    const namespace = `${this.#bridge}-${name}`;
    ip("netns", "add", namespace);
    ip("link", "add", "eth0", "netns", namespace, "type", "veth", "peer", "name", name, "netns", this.#bridge);
    ip("-n", this.#bridge, "link", "set", name, "master", "lan", "up");
    ip("-n", namespace, "link", "set", "lo", "up");
    ip("-n", namespace, "address", "add", `${address}/24`, "dev", "eth0");
    ip("-n", namespace, "link", "set", "eth0", "up");
    const home = join(this.#folder, name);
    mkdirSync(home);
    const etc = `/etc/netns/${namespace}`;
    mkdirSync(etc, { recursive: true });
    writeFileSync(join(etc, "hosts"), this.#hosts);
    const computer = new Computer(namespace, home);
    this.#computers.push(computer);
    return computer;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const computer of this.#computers) await computer.switchOff();
    ip("netns", "delete", this.#bridge);
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

/** One computer of a network. */
export class Computer {
  readonly home: string;
  readonly #namespace: string;
  readonly #programs: Program[] = [];

  constructor(namespace: string, home: string) {
    this.#namespace = namespace;
    this.home = home;
  }

  /** Starts a program there, with nothing of this process's environment but the path. */
  start(command: string, args: readonly string[], env: Readonly<Record<string, string>> = {}): Program {
    const child = spawn("ip", ["netns", "exec", this.#namespace, command, ...args], {
      cwd: this.home,
      env: { PATH: process.env["PATH"] ?? "", HOME: this.home, ...env },
      stdio: ["ignore", "pipe", "pipe"],
      detached: true,
    });
    const program = new Program(child);
    this.#programs.push(program);
    return program;
  }

  async run(command: string, args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<Ended> {
    return this.start(command, args, env).ended;
  }

  /** Ends everything that runs there. */
  async switchOff(): Promise<void> {
    for (const pid of execFileSync("ip", ["netns", "pids", this.#namespace]).toString().split("\n").filter(Boolean)) {
      try {
        process.kill(Number(pid), "SIGKILL");
      } catch {
        // It has ended meanwhile.
      }
    }
    for (const { ended } of this.#programs) await ended;
    ip("netns", "delete", this.#namespace);
    rmSync(`/etc/netns/${this.#namespace}`, { recursive: true, force: true });
  }
}

function ip(...args: string[]): void {
  execFileSync("ip", args, { stdio: ["ignore", "ignore", "pipe"] });
}
