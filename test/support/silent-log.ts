import type { Log } from '../../src/core/log.ts';

export const silentLog: Log = { info: () => {}, warn: () => {}, error: () => {} };
