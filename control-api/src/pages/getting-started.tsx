import type { Env } from "../env.ts";
import { Copy } from "../design/parts.tsx";
import { QrCode } from "../design/qr-code.tsx";
import { isLoopbackHost } from "#protocol/loopback-host.ts";
import { codezLine } from "./codez-line.ts";

/** What to do with a new Operator, on the page that a person sees first and wherever there is no machine yet. */
export function GettingStarted({ env }: { readonly env: Env }) {
  return (
    <ol class="steps narrow">
      <li>
        <h2>Add a machine</h2>
        <AddMachine env={env} />
      </li>
      <li>
        <h2>Connect a client</h2>
        <p>Claude.ai, Claude Code, Cursor, ChatGPT or VS Code: one address gives it all of your machines.</p>
        <p>
          <a class="button plain" href="/connect">
            Connect a client
          </a>
        </p>
      </li>
      <li>
        <h2>Say what you want</h2>
        <p>
          For example: <q>List my machines. Start a session in the api repo and fix the flaky test.</q> What happens
          then shows here.
        </p>
      </li>
    </ol>
  );
}

/** The line that makes a computer a machine of this person's. */
export function AddMachine({ env }: { readonly env: Env }) {
  const isLocal = isLoopbackHost(new URL(env.ORIGIN).hostname);
  const { line, isInClone } = codezLine(env, "up");
  return (
    <>
      <p>
        {isInClone
          ? "In a terminal on this computer, in the folder where you started Operator:"
          : isLocal
            ? "In a terminal on this computer:"
            : "In a terminal on the computer that you want to add. It needs Node 20 or newer, and nothing else:"}
      </p>
      <Copy text={line} label="the command" />
      <p class="soft">
        {isLocal
          ? "This Operator listens on this computer alone. Other computers reach one with an address of its own: npm start -- --public-url https://..."
          : "It signs you in here, adds the computer, serves its Claude Code sessions, and proves that they can be reached. For any other MCP server: replace up by setup <name> -- <command>."}
      </p>
      <p class="soft">
        A computer without a browser shows a code. Enter it <a href="/pair">here</a>
        {isLocal ? "." : " or on your phone."}
      </p>
      {isLocal ? null : (
        <details class="plain">
          <summary>Enter the code on a phone</summary>
          <QrCode text={`${env.ORIGIN}/pair`} label={`${env.ORIGIN}/pair as a QR code`} />
        </details>
      )}
    </>
  );
}
