import { eventShape } from './engine-shapes.ts';
import type { EngineEvent } from './engine-shapes.ts';

/** One JSON object a line; null = it is none, or not an event. */
export function readEvent(line: string): EngineEvent | null {
  if (line.trim() === '') return null;
  const event = eventShape.safeParse(parse(line));
  return event.success ? event.data : null;
}

/** Of a whole answer. */
export function readEvents(text: string): EngineEvent[] {
  return text.split('\n').flatMap((line) => readEvent(line) ?? []);
}

function parse(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return null;
  }
}
