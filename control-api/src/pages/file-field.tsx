import { ClipSymbol } from "../design/symbols.tsx";
import { ACCEPTED } from "./attachments.ts";

/** Images and PDFs that go with a prompt. A phone offers its camera. The script makes large photos smaller and names what was chosen. */
export function FileField() {
  return (
    <label class="files" title="Add an image or PDF">
      <ClipSymbol />
      <span data-chosen>Add an image or PDF</span>
      <input type="file" name="files" accept={ACCEPTED} multiple data-shrinks />
    </label>
  );
}
