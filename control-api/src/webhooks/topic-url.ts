/** Whether a URL is that of a topic of ntfy: it ends with the topic's name, such as `https://ntfy.sh/my-topic`. */
export function isTopicUrl(text: string): boolean {
  return URL.canParse(text) && /\/[\w-]{1,64}$/.test(new URL(text).pathname);
}
