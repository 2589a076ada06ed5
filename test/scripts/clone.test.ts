import { realpathSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { describeClone, freeSubnet, readRoutes } from '../../scripts/lib/clone.mjs';
import { tempFolder } from '../support/temp-folder.ts';

describe('what two clones must not share', () => {
  it('differs between two paths and stays for one', () => {
    const one = tempFolder();
    const other = tempFolder();
    expect(describeClone(one)).toEqual(describeClone(one));
    expect(describeClone(one).id).not.toBe(describeClone(other).id);
    expect(describeClone(one).root).toBe(realpathSync(one));
  });

  it('fits what the system allows: socket paths, device names, ports below the ephemeral ones', () => {
    for (let i = 0; i < 20; i++) {
      const clone = describeClone(tempFolder());
      expect(`${clone.tempDir}/exec/containerd/containerd.sock.ttrpc`.length).toBeLessThan(107);
      expect(clone.bridge.length).toBeLessThanOrEqual(15);
      expect(clone.ports.gateway).toBeGreaterThan(1024);
      expect(clone.ports.issuer).toBeLessThan(32_768);
      // SeaweedFS takes ports up to fourteen above it; clones have their gateways from 20,000 on.
      expect(clone.ports.store).toBeGreaterThan(1024);
      expect(clone.ports.store + 14).toBeLessThan(20_000);
    }
  });
});

describe('a free subnet', () => {
  const table = [
    'Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT',
    'eth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\t0\t0\t0',
    'docker0\t0000800A\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0',
    'tun0\t0000820A\t00000000\t0001\t0\t0\t0\t0000FEFF\t0\t0\t0',
  ].join('\n');

  it('reads the kernel’s table', () => {
    expect(readRoutes(table)[1]).toEqual({ device: 'docker0', network: 0x0a800000, mask: 0xffffff00 });
  });

  it('passes over blocks that a route lies in or spans, whatever the default route says', () => {
    // 10.128.0.0/24 lies in the first block; 10.130.0.0/15 spans the third and the fourth.
    const routes = readRoutes(table);
    expect(freeSubnet(0, routes)).toEqual({ block: 1, gateway: '10.129.0.1/24', pool: '10.129.128.0/17' });
    expect(freeSubnet(2, routes)?.block).toBe(4);
  });

  it('begins again at the first block, and says so when there is none', () => {
    expect(freeSubnet(119, [{ device: 'x', network: 0x0af70000, mask: 0xffff0000 }])?.block).toBe(0);
    expect(freeSubnet(0, [{ device: 'x', network: 0x0a000000, mask: 0xff000000 }])).toBeUndefined();
  });
});
