type PasskeyProps = { readonly path: string; readonly does: "create" | "get"; readonly text: string };

/** Shown by the script, since a passkey needs one. Sends what its form holds. */
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
