// A gateway whose long waits are a sixtieth: its maintenance comes after a second, and again after ten, instead of a
// minute and ten minutes. Nothing else waits for so long.
import { serveWrapped } from './wrapped-gateway.mjs';

const LONG_MS = 60_000;
const inTime = globalThis.setTimeout;
globalThis.setTimeout = (fn, ms, ...args) => inTime(fn, ms >= LONG_MS ? ms / 60 : ms, ...args);

await serveWrapped({});
