import { Foreign } from "../design/foreign.tsx";
import { plainOf } from "../design/foreign-text.ts";
import { Note } from "../design/note.tsx";
import { Empty } from "../design/parts.tsx";
import type { MachineRecord } from "../machines/machine-record.ts";
import { shownAs } from "../http/shown-machine.ts";
import { FileField } from "./file-field.tsx";
import { projectName } from "./session-row.tsx";

/** Projects of one machine in the list, most recently used first. */
const SHOWN_PROJECTS = 20;

/** Machines in the list. A person with more opens this page from the machine's own. */
const SHOWN_MACHINES = 30;

type NewSessionProps = {
  readonly machines: readonly MachineRecord[];
  readonly csrf: string;
  /** Makes a form that is sent twice one session. */
  readonly promptKey: string;
  readonly failed: { readonly said: string; readonly typed: string; readonly place: string } | undefined;
};

/** Starts a session: where, and with which prompt. */
export function NewSession({ machines, csrf, promptKey, failed }: NewSessionProps) {
  const able = machines.filter(({ online, facts }) => online && (facts?.projects?.length ?? 0) > 0);
  return (
    <div class="narrow">
      <a class="back" href="/sessions">
        ‹ Sessions
      </a>
      <h1>New session</h1>
      {failed === undefined ? null : (
        <Note kind="bad">
          <Foreign text={failed.said} limit={500} />
        </Note>
      )}
      {able.length === 0 ? (
        <Empty title="No machine can start one now">
          <p>
            It takes a machine that is online, runs codez serve, and has a project in which Claude Code was used before.
          </p>
          <a class="button" href="/machines">
            Machines
          </a>
        </Empty>
      ) : (
        <form method="post" action="/sessions/new" enctype="multipart/form-data" data-once>
          <input type="hidden" name="csrf" value={csrf} />
          <input type="hidden" name="key" value={promptKey} />
          {able.slice(0, SHOWN_MACHINES).map((machine) => (
            <input type="hidden" name="machine" value={shownAs(machine)} />
          ))}
          <label>
            Project
            <select name="place" required>
              {able.slice(0, SHOWN_MACHINES).map(({ name, facts }) => (
                <optgroup label={name}>
                  {facts?.projects?.slice(0, SHOWN_PROJECTS).map(({ slug, path }) => {
                    const place = `${name}/${slug}`;
                    return (
                      <option value={place} selected={place === failed?.place}>
                        {`${plainOf(projectName(slug, path), 80)} on ${name}`}
                      </option>
                    );
                  })}
                </optgroup>
              ))}
            </select>
          </label>
          <label>
            What should it do?
            <textarea name="text" rows={5} data-sends required>
              {failed?.typed ?? ""}
            </textarea>
          </label>
          <FileField />
          <button>Start</button>
        </form>
      )}
    </div>
  );
}
