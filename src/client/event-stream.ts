/** One server-sent event as it came. */
export interface SentEvent {
  readonly id: string | undefined;
  /** `message` where the server names none. */
  readonly event: string;
  readonly data: string;
}

/**
 * The events of a `text/event-stream` body (HTML standard, §9.2), comments left out. An event that the body breaks
 * off in is dropped, as the standard says: the server sends it again on resume.
 */
export async function* readEventStream(body: AsyncIterable<Uint8Array>): AsyncGenerator<SentEvent> {
  let lines: string[] = [];
  for await (const line of readLines(body)) {
    if (line !== '') {
      lines.push(line);
      continue;
    }
    const event = parseEvent(lines);
    lines = [];
    if (event !== undefined) yield event;
  }
}

async function* readLines(body: AsyncIterable<Uint8Array>): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  let rest = '';
  for await (const chunk of body) {
    const parts = (rest + decoder.decode(chunk, { stream: true })).split('\n');
    rest = parts.pop() ?? '';
    for (const part of parts) yield part.endsWith('\r') ? part.slice(0, -1) : part;
  }
}

function parseEvent(lines: readonly string[]): SentEvent | undefined {
  const data: string[] = [];
  let id: string | undefined;
  let event = 'message';
  for (const line of lines) {
    const colon = line.indexOf(':');
    const field = colon === -1 ? line : line.slice(0, colon);
    const value = colon === -1 ? '' : line.slice(colon + 1).replace(/^ /, '');
    if (field === 'data') data.push(value);
    else if (field === 'id') id = value;
    else if (field === 'event') event = value;
  }
  return data.length === 0 ? undefined : { id, event, data: data.join('\n') };
}
