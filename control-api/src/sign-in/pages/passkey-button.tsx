type PasskeyProps = {
  readonly path: string;
  readonly does: "create" | "get";
  readonly text: string;
  /** Above the other ways, as the one to take. */
  readonly isFirst?: true;
};

/** A passkey button. It stays hidden until script.ts shows it, since WebAuthn needs a script. The script sends the form's fields. */
export function PasskeyButton({ path, does, text, isFirst }: PasskeyProps) {
  return (
    <div data-needs-script hidden>
      {isFirst === undefined ? <hr /> : null}
      <button type="button" class={isFirst === undefined ? "plain" : undefined} data-passkey={path} data-does={does}>
        {text}
      </button>
      <p class="soft" role="status"></p>
      {isFirst === undefined ? null : <hr />}
    </div>
  );
}
