// The hasty gateway, by a clock that is LATER_MS ahead of the engine's: what the engine made just now is old.
const laterMs = Number(process.env['LATER_MS']);
const now = Date.now.bind(Date);
Date.now = () => now() + laterMs;

await import('./hasty-gateway.mjs');
