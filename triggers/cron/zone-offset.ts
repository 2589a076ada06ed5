const MINUTE = 60_000;
const DAY = 24 * 60 * MINUTE;

/** One formatter a zone: making one costs 50 µs and memory that is not the heap's. */
const formatters = new Map<string, Intl.DateTimeFormat>();

/** Whether this is the name of a time zone. */
export function isZone(zone: string): boolean {
  // An empty zone would silently be that of the machine; offsets are known to newer Node versions only.
  if (!/^[A-Za-z]/.test(zone)) return false;
  try {
    formatter(zone);
    return true;
  } catch {
    return false;
  }
}

/**
 * The zone's distance from UTC in minutes, where it is the same at `from` and from a day before `to` until a day
 * after: then no change of the clocks can touch a slot at `to`. undefined where it is not, or is no whole minute.
 */
export function steadyOffset(zone: string, from: number, to: number): number | undefined {
  const offset = offsetAt(zone, to);
  const steady = [from, to - DAY, to + DAY].every((time) => offsetAt(zone, time) === offset);
  return steady && Number.isInteger(offset) ? offset : undefined;
}

/** In minutes; east of Greenwich is positive. */
export function offsetAt(zone: string, time: number): number {
  if (zone === 'UTC') return 0;
  const fields: Record<string, number> = {};
  for (const { type, value } of formatter(zone).formatToParts(time)) fields[type] = Number(value);
  const { year = 0, month = 1, day = 1, hour = 0, minute = 0, second = 0 } = fields;
  const wall = Date.UTC(year, month - 1, day, hour, minute, second);
  return (wall - Math.floor(time / 1000) * 1000) / MINUTE;
}

function formatter(zone: string): Intl.DateTimeFormat {
  let made = formatters.get(zone);
  if (made === undefined) {
    made = new Intl.DateTimeFormat('en-US', {
      timeZone: zone,
      hourCycle: 'h23',
      year: 'numeric',
      month: 'numeric',
      day: 'numeric',
      hour: 'numeric',
      minute: 'numeric',
      second: 'numeric',
    });
    formatters.set(zone, made);
  }
  return made;
}
