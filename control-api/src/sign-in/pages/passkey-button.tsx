type PasskeyProps = {
  readonly path: string;
  readonly does: "create" | "get";
  readonly text: string;
  /** Above a password, as the way to take. */
  readonly isFirst?: true;
  /** The only way there is. */
  readonly isAlone?: true;
};

/** A passkey button. It stays hidden until script.ts shows it, since WebAuthn needs a script. The script sends the form's fields. */
export function PasskeyButton({ path, does, text, isFirst, isAlone }: PasskeyProps) {
  return (
    <div class="passkey" data-needs-script hidden>
      {isFirst || isAlone ? null : <hr />}
      <button type="button" class={isFirst || isAlone ? undefined : "plain"} data-passkey={path} data-does={does}>
        {text}
      </button>
      <p class="soft" role="status"></p>
      {isFirst ? <p class="or soft">or with a password</p> : null}
    </div>
  );
}
