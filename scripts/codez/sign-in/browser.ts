import { spawn } from "node:child_process";

/** Whether this computer has a screen with somebody at it, as far as can be told. `CODEZ_SIGN_IN` says it is so (`browser`) or not (`device`). */
export function hasBrowser(env: NodeJS.ProcessEnv, platform: NodeJS.Platform, isTerminal: boolean): boolean {
  const wanted = env["CODEZ_SIGN_IN"];
  if (wanted === "browser" || wanted === "device") return wanted === "browser";
  if (!isTerminal || env["SSH_CONNECTION"] || env["SSH_TTY"]) return false;
  if (platform === "darwin" || platform === "win32") return true;
  return Boolean(env["DISPLAY"] || env["WAYLAND_DISPLAY"] || env["BROWSER"]);
}

/** Shows an address in the browser; when that does not work, the person has the address on the terminal. */
export function openBrowser(url: string, env: NodeJS.ProcessEnv, platform: NodeJS.Platform): void {
  const [command, ...args] = commandOf(env["BROWSER"], platform);
  if (command === undefined) return;
  // No shell sees the address. Its `&` are safe from it.
  const child = spawn(command, [...args, url], { stdio: "ignore", detached: true });
  child.on("error", () => undefined); // no such program: the address is on the terminal
  child.unref();
}

function commandOf(browser: string | undefined, platform: NodeJS.Platform): string[] {
  if (browser) return [browser];
  if (platform === "darwin") return ["open"];
  if (platform === "win32") return ["rundll32", "url.dll,FileProtocolHandler"];
  return ["xdg-open"];
}
