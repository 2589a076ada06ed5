import { afterEach, describe, expect, it } from 'vitest';
import { statsShape } from '../../../src/runners/docker/engine-shapes.ts';
import { readUsage } from '../../../src/runners/docker/usage.ts';
import { answer, silence } from '../../support/fake-engine.ts';
import { closeEngines, passing, runnerOn, spec } from '../../support/fake-engine-runner.ts';
import { ManualClock } from '../../support/manual-clock.ts';

afterEach(closeEngines);

const TIME = '2026-01-01T00:00:01.882184427Z';
/** As engines answer, without what is not read. */
const DOCKER_V1 = {
  read: TIME,
  cpu_stats: { cpu_usage: { total_usage: 872_809_219 } },
  memory_stats: {
    usage: 107_020_288,
    max_usage: 127_119_360,
    limit: 134_217_728,
    stats: { inactive_file: 0, total_inactive_file: 83_886_080, total_rss: 20_123_648 },
  },
};
const DOCKER_V2 = {
  read: TIME,
  cpu_stats: { cpu_usage: { total_usage: 5e9 } },
  memory_stats: { usage: 90_000_000, limit: 134_217_728, stats: { inactive_file: 40_000_000 } },
};
const PODMAN = {
  read: TIME,
  cpu_stats: { cpu_usage: { total_usage: 561_032_467 } },
  memory_stats: { usage: 106_790_912, limit: 134_217_728 },
};
const ENDED = {
  read: '0001-01-01T00:00:00Z',
  cpu_stats: { cpu_usage: { total_usage: 0 } },
  memory_stats: {},
};

describe('what a container uses', () => {
  it.each([
    ['Docker, cgroup v1: without file cache', DOCKER_V1, { cpuMs: 873, memoryBytes: 23_134_208 }],
    ['Docker, cgroup v2: without file cache', DOCKER_V2, { cpuMs: 5000, memoryBytes: 50_000_000 }],
    ['Podman: not without the cache, so not at all', PODMAN, { cpuMs: 561, memoryBytes: null }],
    ['memory that is not told', { ...PODMAN, memory_stats: null }, { cpuMs: 561, memoryBytes: null }],
    [
      'cache that has grown since',
      { ...DOCKER_V2, memory_stats: { usage: 5, stats: { inactive_file: 9 } } },
      { cpuMs: 5000, memoryBytes: 0 },
    ],
  ])('%s', (_, stats, expected) => {
    const time = Date.parse('2026-01-01T00:00:01.882Z');
    expect(readUsage(statsShape.parse(stats))).toEqual({ time, ...expected });
  });

  it('is nothing where it has ended, though the engine answers', () => {
    expect(readUsage(statsShape.parse(ENDED))).toBeNull();
  });

  const path = `GET /containers/${spec.name}/stats`;
  it.each([
    ['has ended, for Docker', answer(200, ENDED)],
    ['has ended, for Podman', answer(200)],
    ['is not there', answer(404, { message: 'No such container' })],
    ['is in no state to tell', answer(409, { message: 'container is stopped' })],
  ])('is not known of one that %s', async (_, handler) => {
    const { runner } = await runnerOn({ [path]: handler });
    expect(await runner.usage(spec.name)).toBeNull();
  });

  it('is one look, not a stream', async () => {
    let query = '';
    const { runner } = await runnerOn({
      [path]: (request, response) => {
        query = new URL(request.url ?? '', 'http://engine').search;
        answer(200, DOCKER_V1)(request, response);
      },
    });
    expect(await runner.usage(spec.name)).toMatchObject({ cpuMs: 873 });
    expect(query).toBe('?stream=false&one-shot=true');
  });

  it('is given up after 5 s of silence, which does not count as an engine that is gone', async () => {
    const clock = new ManualClock();
    const begun = clock.now();
    const { runner, engine } = await runnerOn({ [path]: silence }, clock);
    expect(await passing(clock, runner.usage(spec.name))).toBeNull();
    expect(clock.now() - begun).toBe(5_000);
    // After an outage its version would be asked for again.
    await runner.inspect(spec.name);
    expect(engine.calls.filter((call) => call === 'GET /version')).toHaveLength(1);
  });
});
