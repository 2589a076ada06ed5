import { describe, expect, it } from 'vitest';
import {
  createBody,
  graceSeconds,
  labelsOf,
  readLabels,
  refusedBind,
  strangeLabel,
} from '../../../src/runners/docker/container-spec.ts';
import { scriptSpec } from '../../support/container-specs.ts';

const spec = scriptSpec({ instance: 'tpt', image: 'busybox:1', digest: 'sha256:aa' }, 'true');
const docker = { kind: 'docker', hasInit: true } as const;

describe('createBody', () => {
  it('leaves to the image what the job does not say', () => {
    const { command: _, ...plain } = spec;
    const body = createBody('tpt', 'net', plain, docker);
    for (const key of ['Entrypoint', 'Cmd', 'User', 'WorkingDir']) expect(body).not.toHaveProperty(key);
  });

  it('says what the job says', () => {
    const more = { args: ['a'], user: '1000:1000', workingDir: '/w', env: { A: 'b=c', EMPTY: '' } };
    expect(createBody('tpt', 'net', { ...spec, ...more }, docker)).toMatchObject({
      Image: 'sha256:aa',
      Entrypoint: ['sh', '-c', 'true'],
      Cmd: ['a'],
      User: '1000:1000',
      WorkingDir: '/w',
      Env: ['A=b=c', 'EMPTY='],
    });
  });

  it('asks for no init where the engine has none, and for a log that Podman knows', () => {
    expect(createBody('tpt', 'net', spec, { kind: 'docker', hasInit: false })).toMatchObject({
      HostConfig: { Init: false },
    });
    const podman = createBody('tpt', 'net', spec, { kind: 'podman', hasInit: true });
    expect(podman).toMatchObject({ HostConfig: { LogConfig: { Type: 'k8s-file' } } });
  });

  it('never gives less grace than was asked for', () => {
    expect([0, 1, 1000, 1001].map(graceSeconds)).toEqual([0, 1, 1, 2]);
  });
});

describe('labels', () => {
  it('come back as the attempt they name', () => {
    expect(readLabels(labelsOf('tpt', spec))).toEqual({ key: spec.key, epoch: spec.epoch });
    const { 'dev.tappet.attempt': _, ...incomplete } = labelsOf('tpt', spec);
    expect(readLabels(incomplete)).toBeNull();
  });

  it('may differ in the epoch alone', () => {
    const labels = labelsOf('tpt', spec);
    expect(strangeLabel('tpt', { ...spec, epoch: 99 }, labels)).toBeNull();
    expect(strangeLabel('other', spec, labels)).toBe('dev.tappet.instance');
    for (const label of Object.keys(labels).filter((name) => name !== 'dev.tappet.epoch')) {
      expect(strangeLabel('tpt', spec, { ...labels, [label]: 'x' })).toBe(label);
    }
    expect(strangeLabel('tpt', spec, {})).not.toBeNull();
  });
});

describe('refusedBind', () => {
  const bind = (from: string) => [{ from, to: '/x', readOnly: true }];

  it.each([
    '/var/run/docker.sock',
    '/var/run',
    '/run/',
    '/',
    '/data/../run',
    '/run/podman',
    '/srv/own.sock',
    '/srv',
  ])('refuses %s', (from) => {
    expect(refusedBind(bind(from), ['/srv/own.sock'])).toMatch(/socket/);
  });

  it.each(['/data', '/var/running', '/srv2', '/run/other'])('allows %s', (from) => {
    expect(refusedBind(bind(from), ['/srv/own.sock'])).toBeNull();
  });
});
