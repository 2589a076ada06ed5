import type { AuthSpec, Verify } from './core/auth.ts';
import type { Config, WebhookSourceSpec } from './core/config.ts';
import { connectionOrigin } from './core/event.ts';
import type { ConnectionSpec, Objects } from './core/objects.ts';
import type { HostedSource } from './inbox/source-host.ts';
import { breather } from './lib/breather.ts';
import { createConnectionSource, createSource } from '../triggers/index.ts';

interface HostedSourcesDeps {
  readonly objects: Objects;
  /** Errors: those of `compileVerify`. */
  readonly verifier: (auth: AuthSpec) => Promise<Verify>;
}

type Configured = Pick<Config, 'triggers' | 'connections'>;

/** The sources that a configuration asks for: one per trigger, and one per connection for its storage triggers. */
export async function hostedSources(config: Configured, deps: HostedSourcesDeps): Promise<HostedSource[]> {
  const hosted: HostedSource[] = [];
  const breathe = breather();
  for (const { name, source: spec, origin, ...compiled } of config.triggers.values()) {
    await breathe();
    if (spec.kind === 'storage') continue;
    const base = {
      name,
      kind: spec.kind,
      origin,
      trigger: name,
      settings: spec,
      source: createSource(name, spec, compiled),
    };
    hosted.push(spec.kind === 'webhook' ? { ...base, ...(await verifiers(spec, deps)) } : base);
  }
  for (const [name, spec] of config.connections) {
    const connection = await hostedConnection(name, spec, config, deps);
    if (connection !== undefined) hosted.push(connection);
  }
  return hosted;
}

async function verifiers(
  { auth, challenge }: WebhookSourceSpec,
  { verifier }: HostedSourcesDeps,
): Promise<Pick<HostedSource, 'verify' | 'verifyChallenge'>> {
  const verify = await verifier(auth);
  if (typeof challenge !== 'object') return { verify };
  return { verify, verifyChallenge: await verifier({ bearer: { token: challenge.meta.verifyToken } }) };
}

/**
 * Also where no trigger listens: what a store notifies of is taken all the same, and what was remembered for triggers
 * that are gone is forgotten, so that one that comes back starts anew.
 */
async function hostedConnection(
  name: string,
  spec: ConnectionSpec,
  config: Configured,
  { objects, verifier }: HostedSourcesDeps,
): Promise<HostedSource | undefined> {
  const { notifications, pollMs } = spec;
  const triggers = [...config.triggers.values()].flatMap(({ name: trigger, source: wanted }) =>
    wanted.kind === 'storage' && wanted.connection === name ? { name: trigger, spec: wanted } : [],
  );
  const store = objects.connection(name);
  if (store === undefined) return undefined;
  const dialect = notifications === undefined ? {} : { dialect: notifications.dialect };
  const source = createConnectionSource({ connection: name, pollMs, triggers, ...dialect });
  const base = {
    name,
    kind: 'storage',
    origin: connectionOrigin(name),
    trigger: null,
    settings: { spec, triggers },
    source,
    objects: store,
  };
  if (notifications === undefined) return base;
  return { ...base, verify: await verifier({ bearer: { token: notifications.token } }) };
}
