import type { Capabilities } from '../../core/runner.ts';
import type { EngineTraits } from './container-spec.ts';
import type { EngineVersion } from './engine-client.ts';
import type { EngineInfo } from './engine-shapes.ts';
import { describeEndpoint } from './find-engine.ts';
import type { EngineEndpoint } from './find-engine.ts';

const NAMES = { docker: 'Docker', podman: 'Podman' } as const;

export function traitsOf({ kind }: EngineVersion, info: EngineInfo): EngineTraits {
  // Podman says nothing about its init; its packages bring one.
  return { kind, hasInit: kind === 'podman' || hasInit(info) };
}

/** The engine names the init program whether it is there or not; `N/A` is how it says that it is not. */
function hasInit({ InitBinary, InitCommit }: EngineInfo): boolean {
  return (InitBinary ?? '') !== '' && InitCommit?.ID !== 'N/A';
}

/** What `GET /api/v1/status` and `tappet doctor` show of an engine. */
export function capabilitiesOf(
  version: EngineVersion,
  info: EngineInfo,
  endpoint: EngineEndpoint,
): Capabilities {
  return {
    cpus: info.NCPU,
    memoryBytes: info.MemTotal,
    description: `${NAMES[version.kind]} ${version.version} at ${describeEndpoint(endpoint)}`,
    warnings: [...engineWarnings(version, info), ...endpointWarnings(endpoint)],
  };
}

function engineWarnings(version: EngineVersion, info: EngineInfo): string[] {
  const warnings: string[] = [];
  if (!traitsOf(version, info).hasInit) {
    warnings.push(
      'docker-init is not installed: programs that do not handle SIGTERM run on until the grace period is over. Install the package tini.',
    );
  }
  if (info.MemoryLimit === false)
    warnings.push('The kernel does not limit memory: "memory" of jobs has no effect.');
  if (info.CpuCfsQuota === false)
    warnings.push('The kernel does not limit cpu time: "cpu" of jobs has no effect.');
  if (info.PidsLimit === false)
    warnings.push('The kernel does not limit the number of processes of a container.');
  if (version.kind === 'podman') {
    warnings.push('Podman does not separate containers of one network: tasks can reach each other.');
    return warnings;
  }
  if (info.BridgeNfIptables === false) {
    warnings.push(
      'Bridge traffic is not filtered (bridge-nf-call-iptables is off): tasks can reach each other.',
    );
  }
  if (info.LiveRestoreEnabled === false) {
    warnings.push(
      'live-restore is off: a restart of the engine ends running tasks. Set "live-restore": true in /etc/docker/daemon.json.',
    );
  }
  return warnings;
}

function endpointWarnings(endpoint: EngineEndpoint): string[] {
  const open = endpoint.kind === 'tcp' && endpoint.tlsDir === null;
  return open ? ['The engine is reached without TLS: whoever can connect to it is root on its machine.'] : [];
}
