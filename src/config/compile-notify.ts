import type { JsonObject, Json } from '../core/json.ts';
import type { NotifySpec, ReceiverSpec } from '../core/notify.ts';
import { receiverUrlProblem } from '../notify/receiver-url.ts';
import { SECRET_RULE, signingKey } from '../notify/standard-webhook.ts';
import type { CompileContext } from './context.ts';
import { checkName, parsePart } from './context.ts';
import type { NotifyInput } from './notify-settings.ts';
import { receiverSchema } from './notify-settings.ts';
import type { PathSegment } from './positions.ts';
import { listOf, mapOf, textOf } from './raw.ts';
import { checkSecret } from './secret-reads.ts';

type Path = readonly PathSegment[];

/** The receiver under `name` of "notifications", or undefined where it has errors, which are reported. */
export async function compileReceiver(
  name: string,
  value: JsonObject,
  context: CompileContext,
): Promise<ReceiverSpec | undefined> {
  const path = ['notifications', name];
  const { report } = context;
  const input = parsePart(receiverSchema, value, path, report);
  const secret = await checkSecret(value['secret'], [...path, 'secret'], context);
  if (secret !== undefined && signingKey(secret.reveal()) === undefined)
    report.add([...path, 'secret'], SECRET_RULE);
  const url = textOf(value['url']);
  const allowHttp = value['allowHttp'] === true;
  const allowPrivateAddresses = value['allowPrivateAddresses'] === true;
  const problem =
    url === undefined ? undefined : receiverUrlProblem({ url, allowHttp, allowPrivateAddresses });
  if (problem !== undefined) report.add([...path, 'url'], problem);
  return input;
}

/** That the names of a `notify` stand under "notifications". */
export function checkNotify(notify: Json | undefined, path: Path, context: CompileContext): void {
  for (const key of ['onFailure', 'onRecovery', 'onCompletion']) {
    for (const [i, name] of listOf(mapOf(notify)[key]).entries()) {
      const at = [...path, key, i];
      if (typeof name === 'string')
        checkName(name, context.receiverNames, at, ['receiver', ' under "notifications"'], context);
    }
  }
}

/** What a job says, over what the server says for all; undefined = nobody is told anything. */
export function notifyOf(job: NotifyInput | undefined, all: NotifySpec | null): NotifySpec | undefined {
  const onFailure = unique(job?.onFailure ?? all?.onFailure);
  // Who hears of a failure wants to hear of its end.
  const onRecovery = unique(job?.onRecovery ?? job?.onFailure ?? all?.onRecovery);
  const onCompletion = unique(job?.onCompletion ?? all?.onCompletion);
  const nobody = onFailure.length + onRecovery.length + onCompletion.length === 0;
  return nobody ? undefined : { onFailure, onRecovery, onCompletion };
}

const unique = (names: readonly string[] = []): readonly string[] => [...new Set(names)];
