import { GENERIC_HMAC, isCredential, secretsOf } from '../core/auth.ts';
import type {
  AuthSpec,
  CallerSpec,
  GenericHmac,
  HmacSpec,
  OidcSpec,
  Preset,
  TokenSpec,
} from '../core/auth.ts';
import { TappetError } from '../core/errors.ts';
import type { SecretRef } from '../core/secrets.ts';
import { quoted } from '../lib/shell-word.ts';

export interface CurlParams {
  readonly trigger: string;
  /** Of the gateway, such as `http://127.0.0.1:8080`. */
  readonly url: string;
  /** The trigger's `source`, as the API tells it: as written. */
  readonly source: unknown;
  readonly issuers?: Issuers | undefined;
}

/** Of which issuers it takes tokens. */
type Issuers = Readonly<Record<string, Preset>>;

interface WebhookSource {
  readonly kind: 'webhook';
  /** As written: what a generic HMAC leaves to be filled in is absent, whatever the type says. */
  readonly auth: AuthSpec;
  readonly body?: 'file';
}

/** What a call needs beside its address and body. */
interface Credentials {
  /** Lines before it, each ending in a shell variable, a function or a remark. */
  readonly before: readonly string[];
  /** Header lines, as words of the shell. */
  readonly headers: readonly string[];
  /** Of curl. */
  readonly options?: readonly string[];
  /** Holds a key with which nobody can sign: then what it says is told, and nothing is called. */
  readonly unless?: { readonly variable: string; readonly prefix: string; readonly message: string };
}

const NOTHING: Credentials = { before: [], headers: [] };

/**
 * A call of the trigger for a POSIX shell with curl (7.55 or newer), and openssl where a body is signed. Secrets are never
 * in it: a variable of the environment stands for each, of the name in the configuration where that is where it comes
 * from. Nor do they, or what proves to know them, stand in the arguments of a program, which everybody on the machine can
 * read: only the shell's own words (`printf`) get them, and programs read them from their input.
 * Errors: INVALID_ARGUMENT where the trigger takes no calls, or its `auth` is none of this version.
 */
export function curlText({ trigger, url, source, issuers = {} }: CurlParams): string {
  if (!isWebhook(source)) {
    const message = `${trigger} is not called: its source is no webhook.`;
    throw new TappetError('INVALID_ARGUMENT', message, {
      fix: `To let it see an event now: tappet triggers fire ${trigger}`,
    });
  }
  const { before, headers, options = [], unless } = credentialsOf(source.auth, issuers);
  const file = source.body === 'file';
  const secretly = headers.length > 0;
  const call = [
    ...(secretly ? [`printf '%s\\n' ${headers.join(' ')} |`] : []),
    `${secretly ? '  ' : ''}curl -sS -X POST ${quoted(`${url}/hooks/${trigger}`)}`,
    `-H 'content-type: ${file ? 'application/octet-stream' : 'application/json'}'`,
    ...(secretly ? ['-H @-'] : []),
    ...options,
    // `--data-binary @` would take the whole file into memory first.
    file ? '-T "$file"' : '--data-binary "$body"',
  ].join(' \\\n  ');
  const what = file
    ? ['# file: what is sent, of any type.', 'file=./video.mp4']
    : [`body='{"hello":"world"}'`];
  return [...what, ...before, ...(unless === undefined ? [call] : guarded(unless, call))].join('\n');
}

/** The word `exit` would end the shell that it is pasted into. */
function guarded({ variable, prefix, message }: NonNullable<Credentials['unless']>, call: string): string[] {
  return [
    `case "$${variable}" in`,
    `${prefix}*) echo ${quoted(message)} >&2; false ;;`,
    `*) ${call} ;;`,
    'esac',
  ];
}

function isWebhook(source: unknown): source is WebhookSource {
  return typeof source === 'object' && source !== null && 'kind' in source && source.kind === 'webhook';
}

function credentialsOf(auth: AuthSpec, issuers: Issuers): Credentials {
  if (auth === 'none') return NOTHING;
  const remarks =
    auth.addresses === undefined
      ? []
      : [`# Taken from these addresses only: ${oneLine(auth.addresses.join(', '))}`];
  const of = 'anyOf' in auth ? firstOf(auth.anyOf, issuers) : callerOf(auth, issuers);
  return { ...of, before: [...remarks, ...of.before] };
}

/** Any one will do. */
function firstOf(anyOf: readonly CallerSpec[], issuers: Issuers): Credentials {
  const [first] = anyOf;
  return first === undefined ? NOTHING : credentialsOf(first, issuers);
}

function callerOf(auth: CallerSpec, issuers: Issuers): Credentials {
  if (!isCredential(auth)) return NOTHING;
  if ('oidc' in auth) return oidc(auth.oidc, issuers[auth.oidc.issuer]);
  if ('bearer' in auth) return header(auth.bearer, 'authorization', 'Bearer ');
  if ('gitlab' in auth) return header(auth.gitlab, 'x-gitlab-token', '');
  if ('basic' in auth) {
    const { name, before } = secret(
      'passwords' in auth.basic ? auth.basic.passwords[0] : auth.basic.password,
    );
    const encoded = `login=$(printf '%s:%s' ${quoted(auth.basic.user)} "$${name}" | openssl base64 -A)`;
    return { before: [...before, encoded], headers: ['"authorization: Basic $login"'] };
  }
  if ('clientCertificate' in auth)
    return {
      before: ['# By way of the proxy that ends TLS: put its address in, and the files of your certificate.'],
      headers: [],
      options: ['--cert client.crt --key client.key'],
    };
  if ('hmac' in auth) return hmac(auth.hmac);
  // A gateway of another version may know more.
  throw new TappetError('INVALID_ARGUMENT', 'This version of tappet does not know the auth of the trigger.', {
    fix: 'Use the version that the gateway has.',
  });
}

function oidc(spec: OidcSpec, preset: Preset | undefined): Credentials {
  const [first = ''] = typeof spec.audience === 'string' ? [spec.audience] : spec.audience;
  const audience = oneLine(first);
  const [where, command] = tokenOf(spec, quoted(audience), preset);
  return {
    before: [
      `# TOKEN: a signed token of the issuer "${oneLine(spec.issuer)}" for the audience ${audience}${where}`,
      ...(command === undefined ? [] : [`#   TOKEN=$(${oneLine(command)})`]),
    ],
    headers: ['"authorization: Bearer $TOKEN"'],
  };
}

/** How its issuer is asked for one: where that is, and the command. */
function tokenOf(spec: OidcSpec, audience: string, preset: Preset | undefined): [string, string?] {
  switch (preset) {
    case 'google': {
      // The account of a person gets none for an audience, and no address stands in one unless it is asked for.
      const [email] = spec.emails ?? [];
      const as = email === undefined ? '' : ` --impersonate-service-account=${quoted(email)} --include-email`;
      return ['. With gcloud:', `gcloud auth print-identity-token --audiences=${audience}${as}`];
    }
    case 'github-actions': {
      const asked = `printf 'Authorization: bearer %s' "$ACTIONS_ID_TOKEN_REQUEST_TOKEN"`;
      const of = `--get --data-urlencode audience=${audience} "$ACTIONS_ID_TOKEN_REQUEST_URL"`;
      const where = '. In a job of a workflow with "permissions: { id-token: write }":';
      return [where, `${asked} | curl --fail -sS -H @- ${of} | jq -r .value`];
    }
    case 'kubernetes': {
      const anyOne = `${spec.namespaces?.[0] ?? 'NAMESPACE'}/NAME`;
      const [namespace = '', name = ''] = (spec.serviceAccounts?.[0] ?? anyOne).split('/');
      return [
        '. With kubectl:',
        `kubectl create token ${quoted(name)} --namespace=${quoted(namespace)} --audience=${audience}`,
      ];
    }
    case 'generic':
    case undefined:
    // A newer gateway may know others.
    default:
      return ['. How to get one depends on the issuer.'];
  }
}

function header(spec: TokenSpec, name: string, prefix: string): Credentials {
  const { name: variable, before } = secret(secretsOf(spec)[0]);
  return { before, headers: [`"${name}: ${prefix}$${variable}"`] };
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

/**
 * HMAC-SHA256 of what it reads, by the key in hex. openssl takes a key in its arguments alone (before version 3.4), so only
 * the two digests of which RFC 2104 makes it are openssl's; the shell makes the padded key, 64 bytes.
 */
const HMAC = [
  '# HMAC-SHA256; openssl alone would show the key in the list of processes.',
  'hmac() {',
  '  inner=; outer=; rest=$key',
  '  while [ ${#inner} -lt 256 ]; do',
  '    byte=${rest%"${rest#??}"}; rest=${rest#??}',
  '    n=$((0x${byte:-0} ^ 0x36)); inner="$inner\\\\$((n/64))$((n/8%8))$((n%8))"',
  '    n=$((n ^ 0x36 ^ 0x5c)); outer="$outer\\\\$((n/64))$((n/8%8))$((n%8))"',
  '  done',
  '  { printf "$outer"; { printf "$inner"; cat; } | openssl dgst -sha256 -binary; } | openssl dgst -sha256 "$@"',
  '}',
] as const;

const HEX = "od -An -v -tx1 | tr -d ' \\n'";

/** `secret`: what writes its bytes. A key of more than 64 bytes counts by its digest. */
const keyOf = (secretBytes: string): string[] => [
  `key=$(${secretBytes} | ${HEX})`,
  `[ \${#key} -le 128 ] || key=$(${secretBytes} | openssl dgst -sha256 -r | cut -d' ' -f1)`,
  ...HMAC,
];

/** `text`: what is signed, as the shell takes it within double quotes. */
const signatureOf = (text: string, encoding: 'hex' | 'base64'): string =>
  `signature=$(printf '%s' "${text}" | hmac ${encoding === 'hex' ? "-r | cut -d' ' -f1" : '-binary | openssl base64 -A'})`;

const NOW = 'time=$(date +%s)';

function hmac(spec: HmacSpec): Credentials {
  const { name, before: where } = secret(secretsOf(spec)[0]);
  if (spec.scheme === 'standard-webhooks') return standardWebhooks(name, where);
  // The secret's own bytes are the key.
  const before = [...where, ...keyOf(`printf '%s' "$${name}"`)];
  if (spec.scheme === undefined || spec.scheme === 'generic') return generic(spec, before);
  switch (spec.scheme) {
    case 'github':
      return {
        before: [...before, signatureOf('$body', 'hex')],
        headers: ['"x-hub-signature-256: sha256=$signature"'],
      };
    case 'stripe':
      return {
        before: [...before, NOW, signatureOf('$time.$body', 'hex')],
        headers: ['"stripe-signature: t=$time,v1=$signature"'],
      };
    case 'slack':
      return {
        before: [...before, NOW, signatureOf('v0:$time:$body', 'hex')],
        headers: ['"x-slack-request-timestamp: $time"', '"x-slack-signature: v0=$signature"'],
      };
  }
}

function standardWebhooks(variable: string, before: readonly string[]): Credentials {
  return {
    before: [
      ...before,
      ...keyOf(`printf '%s' "$${variable}" | sed 's/^whsec_//' | openssl base64 -d -A`),
      NOW,
      'id=msg_$(openssl rand -hex 8)',
      signatureOf('$id.$time.$body', 'base64'),
    ],
    headers: ['"webhook-id: $id"', '"webhook-timestamp: $time"', '"webhook-signature: v1,$signature"'],
    unless: {
      variable,
      prefix: 'whpk_',
      message: `${variable} is a public key (whpk_): only who has its private key can sign a call. Have that sender make one; to call by hand, put a secret of your own (whsec_) before it under "secrets" of the trigger.`,
    },
  };
}

/** As it is written: without what it leaves to be filled in. */
type Written = Partial<Omit<GenericHmac, 'timestamp'>> & {
  readonly timestamp?: { readonly header: string; readonly signed?: string };
};

function generic(spec: Written, before: readonly string[]): Credentials {
  const { header: name, prefix, encoding, timestamp } = { ...GENERIC_HMAC, ...spec };
  const signature = `${quoted(`${name}: ${prefix}`)}"$signature"`;
  if (timestamp === undefined)
    return { before: [...before, signatureOf('$body', encoding)], headers: [signature] };
  const text = inDoubleQuotes(timestamp.signed ?? GENERIC_HMAC.signed)
    .replaceAll('{timestamp}', '${time}')
    .replaceAll('{body}', '${body}');
  return {
    before: [...before, NOW, signatureOf(text, encoding)],
    headers: [`${quoted(`${timestamp.header}: `)}"$time"`, signature],
  };
}

const inDoubleQuotes = (text: string): string => text.replaceAll(/[\\$"`]/g, '\\$&');
/** In a remark: a line break would end it. */
const oneLine = (text: string): string => text.replaceAll(/[\r\n]+/g, ' ');
