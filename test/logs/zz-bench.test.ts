import { mkdtempSync, rmSync } from 'node:fs';
import { it } from 'vitest';
import { FileLogSink } from '../../src/logs/file-log-sink.ts';
import { FakeRunner } from '../support/fake-runner.ts';
import { Executor } from '../../src/executor/executor.ts';
import { SqliteStore } from '../../src/stores/sqlite/store.ts';
import { createExpressions } from '../../src/expr/expressions.ts';
import { SystemIds } from '../../src/lib/system-ids.ts';
import { JOB_DEFAULTS } from '../../src/core/job.ts';
const clock = { now: () => Date.now(), setTimer: (ms: number, fn: () => void) => { const t = setTimeout(fn, ms); return () => clearTimeout(t); } };
it('logs', async () => {
const dir = mkdtempSync('/tmp/lb-');
const sink = new FileLogSink({ dir, clock });
for (const [size, total] of [[65536, 400e6], [65536, 400e6], [4096, 80e6], [100, 4e6]]) {
  const key = { execution: 'a' + Math.random().toString(36).slice(2), index: 0, attempt: 0 };
  const w = await sink.open(key);
  const data = Buffer.alloc(size, 'x');
  const t = performance.now(); const c = process.cpuUsage();
  for (let n = 0; n < total; n += size) await w.write('stdout', data);
  const mid = performance.now();
  await w.close();
  const t2 = performance.now();
  const u = process.cpuUsage(c);
  let read = 0; const r0 = performance.now();
  for await (const c of sink.read(key, {})) read += c.data.length;
  const r1 = performance.now();
  const o0 = performance.now(); const w2 = await sink.open(key); const o1 = performance.now(); await w2.close();
  console.log(size, 'write MB/s', (total / 1e3 / (mid - t)).toFixed(0), 'incl close', (total / 1e3 / (t2 - t)).toFixed(0), 'cpu ms', ((u.user+u.system)/1000).toFixed(0), 'read MB/s', (read / 1e3 / (r1 - r0)).toFixed(0), 'reopen ms', (o1 - o0).toFixed(1));
  await sink.remove(key.execution);
}
rmSync(dir, { recursive: true });
}, 60000);
it('latency', async () => {
  const dir = mkdtempSync('/tmp/lb-');
  const ids = new SystemIds();
  const store = new SqliteStore({ path: dir + '/s.db', clock, ids });
  await store.open();
  const runner = new FakeRunner(clock);
  runner.script = () => ({ exitAt: 1 });
  let called = 0;
  const ensure = runner.ensure.bind(runner);
  runner.ensure = (a, b) => { called = performance.now(); return ensure(a, b); };
  const executor = new Executor({ store, runner, logs: new FileLogSink({ dir: dir + '/logs', clock }), clock, ids, settings: { maxRunningTasks: 10, maxParallelism: 100 }, expressions: createExpressions(), log: { info() {}, warn() {}, error() {} } });
  await executor.start();
  while (executor.status().state !== 'ready') await new Promise((r) => setTimeout(r, 5));
  const own: number[] = []; const full: number[] = [];
  for (let i = 0; i < 150; i++) {
    const name = 'work-' + ids.suffix(10);
    const t = performance.now();
    const created = store.createExecution({ uid: ids.uid(), name, job: 'work', jobGeneration: 1, spec: { image: 'b', env: {}, binds: [], ...JOB_DEFAULTS }, context: {}, cause: { kind: 'api', principal: 'x' }, labels: {} });
    executor.wake();
    await created;
    const c = performance.now();
    while ((await store.getExecution(name))?.completionTime == null) await new Promise((r) => setTimeout(r, 1));
    full.push(performance.now() - t); own.push(called - t); void c;
  }
  const p = (a: number[], q: number) => a.sort((x, y) => x - y)[Math.floor(a.length * q)]?.toFixed(1);
  console.log('wake to ensure ms p50', p(own, 0.5), 'p95', p(own, 0.95), 'to finished p50', p(full, 0.5));
  await executor.stop(); await store.close(); rmSync(dir, { recursive: true });
}, 60000);
