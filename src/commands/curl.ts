import { isCredential, secretsOf } from '../core/auth.ts';
import type { AuthSpec, CallerSpec, CredentialSpec, GenericHmac, HmacSpec, TokenSpec } from '../core/auth.ts';
import { TappetError } from '../core/errors.ts';
import type { SecretRef } from '../core/secrets.ts';
import { quoted } from '../lib/shell-word.ts';

export interface CurlParams {
  readonly trigger: string;
  /** Of the gateway, such as `http://127.0.0.1:8080`. */
  readonly url: string;
  /** The trigger's `source`, as the API tells it. */
  readonly source: unknown;
}

interface WebhookSource {
  readonly kind: 'webhook';
  readonly auth: AuthSpec;
  readonly body?: 'file';
}

/** What a call needs beside its address and body: lines before it, each ending in a shell variable or a remark, and options of curl. */
interface Credentials {
  readonly before: readonly string[];
  readonly options: readonly string[];
}

const NOTHING: Credentials = { before: [], options: [] };

/**
 * A call of the trigger for a POSIX shell with curl, and openssl where a body is signed. Secrets are never in it: a
 * variable of the environment stands for each, of the name in the configuration where that is where it comes from.
 * Errors: INVALID_ARGUMENT where the trigger takes no calls.
 */
export function curlText({ trigger, url, source }: CurlParams): string {
  if (!isWebhook(source)) {
    const message = `${trigger} is not called: its source is no webhook.`;
    throw new TappetError('INVALID_ARGUMENT', message, {
      fix: `To let it see an event now: tappet triggers fire ${trigger}`,
    });
  }
  const { before, options } = credentialsOf(source.auth);
  const file = source.body === 'file';
  const call = [
    `curl -sS -X POST ${quoted(`${url}/hooks/${trigger}`)}`,
    `-H 'content-type: ${file ? 'application/octet-stream' : 'application/json'}'`,
    ...options,
    // `--data-binary @` would take the whole file into memory first.
    file ? '-T "$file"' : '--data-binary "$body"',
  ];
  const what = file
    ? ['# file: what is sent, of any type.', 'file=./video.mp4']
    : [`body='{"hello":"world"}'`];
  return [...what, ...before, call.join(' \\\n  ')].join('\n');
}

function isWebhook(source: unknown): source is WebhookSource {
  return typeof source === 'object' && source !== null && 'kind' in source && source.kind === 'webhook';
}

function credentialsOf(auth: AuthSpec): Credentials {
  if (auth === 'none') return NOTHING;
  const remarks =
    auth.addresses === undefined
      ? []
      : [`# Taken from these addresses only: ${oneLine(auth.addresses.join(', '))}`];
  const of = 'anyOf' in auth ? firstOf(auth.anyOf) : callerOf(auth);
  return { ...of, before: [...remarks, ...of.before] };
}

/** Any one will do. */
function firstOf(anyOf: readonly CallerSpec[]): Credentials {
  const [first] = anyOf;
  return first === undefined ? NOTHING : credentialsOf(first);
}

function callerOf(auth: CallerSpec): Credentials {
  if (!isCredential(auth)) return NOTHING;
  if ('oidc' in auth) return oidc(auth.oidc);
  if ('bearer' in auth) return header(auth.bearer, 'authorization', 'Bearer ');
  if ('gitlab' in auth) return header(auth.gitlab, 'x-gitlab-token', '');
  if ('basic' in auth) {
    const { name, before } = secret(
      'passwords' in auth.basic ? auth.basic.passwords[0] : auth.basic.password,
    );
    return { before, options: [`-u ${quoted(auth.basic.user)}:"$${name}"`] };
  }
  if ('clientCertificate' in auth)
    return {
      before: ['# By way of the proxy that ends TLS: put its address in, and the files of your certificate.'],
      options: ['--cert client.crt --key client.key'],
    };
  return hmac(auth.hmac);
}

function oidc({ issuer, audience }: Extract<CredentialSpec, { oidc: unknown }>['oidc']): Credentials {
  const [first = ''] = typeof audience === 'string' ? [audience] : audience;
  return {
    before: [
      `# TOKEN: one of the issuer "${oneLine(issuer)}" for the audience ${oneLine(first)}. Of Google:`,
      `#   TOKEN=$(gcloud auth print-identity-token --audiences=${quoted(oneLine(first))})`,
    ],
    options: ['-H "authorization: Bearer $TOKEN"'],
  };
}

function header(spec: TokenSpec, name: string, prefix: string): Credentials {
  const { name: variable, before } = secret(secretsOf(spec)[0]);
  return { before, options: [`-H "${name}: ${prefix}$${variable}"`] };
}

/** Where the shell finds it. */
function secret(ref: SecretRef | undefined): { readonly name: string; readonly before: readonly string[] } {
  if (ref !== undefined && 'env' in ref && /^[A-Za-z_]\w*$/.test(ref.env))
    return { name: ref.env, before: [`# ${ref.env}: as the gateway has it in its environment.`] };
  if (ref !== undefined && 'file' in ref)
    return {
      name: 'SECRET',
      before: [
        '# The file is one of the gateway: a relative path counts from the folder of its configuration.',
        `SECRET=$(cat -- ${quoted(ref.file)})`,
      ],
    };
  const which =
    ref !== undefined && 'secret' in ref
      ? ` the secret "${oneLine(ref.secret)}" of the gateway`
      : ' the secret';
  return { name: 'SECRET', before: [`# SECRET:${which}; nobody can read it back, so set it here.`] };
}

/** The secret's own bytes are the key. */
const digest = (variable: string, encoding: 'hex' | 'base64'): string => {
  const mac = `openssl dgst -sha256 -hmac "$${variable}"`;
  return encoding === 'hex' ? `${mac} -r | cut -d' ' -f1` : `${mac} -binary | openssl base64 -A`;
};

const NOW = 'time=$(date +%s)';

function hmac(spec: HmacSpec): Credentials {
  const { name, before } = secret(secretsOf(spec)[0]);
  const signed = (text: string, encoding: 'hex' | 'base64' = 'hex'): string =>
    `signature=$(printf '%s' "${text}" | ${digest(name, encoding)})`;
  if (spec.scheme === undefined || spec.scheme === 'generic') return generic(spec, before, signed);
  switch (spec.scheme) {
    case 'github':
      return {
        before: [...before, signed('$body')],
        options: ['-H "x-hub-signature-256: sha256=$signature"'],
      };
    case 'stripe':
      return {
        before: [...before, NOW, signed('$time.$body')],
        options: ['-H "stripe-signature: t=$time,v1=$signature"'],
      };
    case 'slack':
      return {
        before: [...before, NOW, signed('v0:$time:$body')],
        options: ['-H "x-slack-request-timestamp: $time"', '-H "x-slack-signature: v0=$signature"'],
      };
    case 'standard-webhooks':
      return standardWebhooks(name, before);
  }
}

function standardWebhooks(variable: string, before: readonly string[]): Credentials {
  const key = `key=$(printf '%s' "$${variable}" | sed 's/^whsec_//' | openssl base64 -d -A | od -An -v -tx1 | tr -d ' \\n')`;
  const mac = 'openssl dgst -sha256 -mac HMAC -macopt "hexkey:$key" -binary | openssl base64 -A';
  return {
    before: [
      ...before,
      NOW,
      'id=msg_$(openssl rand -hex 8)',
      key,
      `signature=$(printf '%s' "$id.$time.$body" | ${mac})`,
    ],
    options: [
      '-H "webhook-id: $id"',
      '-H "webhook-timestamp: $time"',
      '-H "webhook-signature: v1,$signature"',
    ],
  };
}

function generic(
  spec: GenericHmac,
  before: readonly string[],
  signed: (text: string, encoding: 'hex' | 'base64') => string,
): Credentials {
  const { header: name, prefix, encoding, timestamp } = spec;
  const option = `-H ${quoted(`${name}: ${prefix}`)}"$signature"`;
  if (timestamp === undefined) return { before: [...before, signed('$body', encoding)], options: [option] };
  const text = inDoubleQuotes(timestamp.signed)
    .replaceAll('{timestamp}', '${time}')
    .replaceAll('{body}', '${body}');
  return {
    before: [...before, NOW, signed(text, encoding)],
    options: [`-H ${quoted(`${timestamp.header}: `)}"$time"`, option],
  };
}

const inDoubleQuotes = (text: string): string => text.replaceAll(/[\\$"`]/g, '\\$&');
/** In a remark: a line break would end it. */
const oneLine = (text: string): string => text.replaceAll(/[\r\n]+/g, ' ');
