import { spawn } from "node:child_process";

/**
 * Whether a browser can be opened for a person at this computer, as far as can be told. `CODEZ_SIGN_IN` overrides it
 * (`browser` or `device`).
 */
export function hasBrowser(env: NodeJS.ProcessEnv, platform: NodeJS.Platform, isTerminal: boolean): boolean {
  const wanted = env["CODEZ_SIGN_IN"];
  if (wanted === "browser" || wanted === "device") return wanted === "browser";
  if (!isTerminal || env["SSH_CONNECTION"] || env["SSH_TTY"]) return false;
  if (platform === "darwin" || platform === "win32") return true;
  return Boolean(env["DISPLAY"] || env["WAYLAND_DISPLAY"] || env["BROWSER"]);
}

/** Opens an address in the browser. If that fails, the person still has the address on the terminal. */
export function openBrowser(url: string, env: NodeJS.ProcessEnv, platform: NodeJS.Platform): void {
  const [command, ...args] = commandOf(env["BROWSER"], platform);
  if (command === undefined) return;
  // Started without a shell, which would interpret the `&` in the address.
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
