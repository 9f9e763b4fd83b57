/**
 * Decodes an event stream whose line ends are all `\n`. The standard also allows `\r` and `\r\n` (HTML, "Server-sent events"), and
 * eventsource-parser looks for both kinds at each line: where one of them is far away, a chunk of megabytes takes it hours.
 */
export function eventText(): TransformStream<Uint8Array, string> {
  const decoder = new TextDecoder();
  let endsInReturn = false;
  const lines = (text: string): string => {
    if (text === "") return "";
    // The `\n` of a `\r\n` that two chunks share.
    const begun = endsInReturn && text.startsWith("\n") ? text.slice(1) : text;
    endsInReturn = text.endsWith("\r");
    return begun.includes("\r") ? begun.replaceAll(/\r\n?/g, "\n") : begun;
  };
  return new TransformStream({
    transform: (chunk, controller) => controller.enqueue(lines(decoder.decode(chunk, { stream: true }))),
    flush: (controller) => controller.enqueue(lines(decoder.decode())),
  });
}
