type PasswordProps = {
  readonly name: string;
  readonly label: string;
  readonly autocomplete: "current-password" | "new-password";
  readonly minlength?: number;
  readonly hint?: string;
};

/** A password, which can be shown while it is typed. The button for that needs the script, and is hidden without it. */
export function PasswordField({ name, label, autocomplete, minlength, hint }: PasswordProps) {
  return (
    <div class="field-with-hint">
      <div class="field">
        <label>
          {label}
          <input name={name} type="password" autocomplete={autocomplete} minlength={minlength} required />
        </label>
        <button type="button" class="plain small" data-show aria-pressed="false" aria-label={`Show: ${label}`} hidden>
          Show
        </button>
      </div>
      {hint === undefined ? null : <p class="soft hint">{hint}</p>}
    </div>
  );
}
