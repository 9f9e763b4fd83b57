type PasskeyProps = { readonly path: string; readonly does: "create" | "get"; readonly text: string };

/** A passkey button. It stays hidden until script.ts shows it, since WebAuthn needs a script. The script sends the form's fields. */
export function PasskeyButton({ path, does, text }: PasskeyProps) {
  return (
    <div data-needs-script hidden>
      <hr />
      <button type="button" class="plain" data-passkey={path} data-does={does}>
        {text}
      </button>
      <p class="soft" role="status"></p>
    </div>
  );
}
