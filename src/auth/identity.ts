import type { IdentitySpec, Preset } from '../core/auth.ts';
import type { JsonObject } from '../core/json.ts';

type Read = (claims: JsonObject) => unknown;

interface Field {
  /** Where the field is offered. */
  readonly presets: readonly Preset[];
  /** Whether it says by itself who calls; the others only narrow that down. */
  readonly identifies: boolean;
  /** What must be on the list; anything but a text is on none. */
  readonly read: Read;
  /** What is missing, for the log. */
  readonly claim: string;
}

const claim = (name: string, presets: readonly Preset[], identifies: boolean): Field => ({
  presets,
  identifies,
  read: (claims) => claims[name],
  claim: name,
});

const SERVICE_ACCOUNT = /^system:serviceaccount:([^:]+):([^:]+)$/;

/** Each field of `oidc` that lists who may call. */
export const IDENTITY_FIELDS: Readonly<Record<keyof IdentitySpec, Field>> = {
  emails: {
    presets: ['google', 'generic'],
    identifies: true,
    // Whoever opens an account somewhere may write any address into it: it counts only once it was verified.
    read: (claims) => (claims['email_verified'] === true ? claims['email'] : undefined),
    claim: 'email (with email_verified)',
  },
  subjects: claim('sub', ['google', 'github-actions', 'kubernetes', 'generic'], true),
  repositoryIds: claim('repository_id', ['github-actions'], true),
  repositoryOwnerIds: claim('repository_owner_id', ['github-actions'], true),
  // Any repository may call a workflow of a public one: it says what runs, not for whom.
  workflows: claim('job_workflow_ref', ['github-actions'], false),
  refs: claim('ref', ['github-actions'], false),
  environments: claim('environment', ['github-actions'], false),
  events: claim('event_name', ['github-actions'], false),
  serviceAccounts: {
    presets: ['kubernetes'],
    identifies: true,
    read: (claims) => accountOf(claims)?.join('/'),
    claim: 'sub (a service account)',
  },
  namespaces: {
    presets: ['kubernetes'],
    identifies: true,
    read: (claims) => accountOf(claims)?.[0],
    claim: 'sub (the namespace of a service account)',
  },
};

const NAMES = Object.keys(IDENTITY_FIELDS) as readonly (keyof IdentitySpec)[];

export function fieldsOf(preset: Preset): (keyof IdentitySpec)[] {
  return NAMES.filter((name) => IDENTITY_FIELDS[name].presets.includes(preset));
}

/** Claims that anyone's token of the issuer may have with any value: by themselves they say nothing about who calls. */
export function sharedClaims(preset: Preset): ReadonlySet<unknown> {
  return preset === 'github-actions' ? SHARED_BY_WORKFLOWS : TECHNICAL;
}

const TECHNICAL: ReadonlySet<unknown> = new Set(
  'iss aud exp iat nbf jti auth_time nonce typ email_verified'.split(' '),
);
const SHARED_BY_WORKFLOWS: ReadonlySet<unknown> = new Set([
  ...TECHNICAL,
  ...'ref ref_type ref_protected base_ref head_ref sha event_name environment'.split(' '),
  ...'run_id run_number run_attempt runner_environment repository_visibility check_run_id'.split(' '),
  ...'workflow workflow_sha job_workflow_ref job_workflow_sha'.split(' '),
  // Whoever stars a repository or opens an issue there is the actor of its workflows.
  ...'actor actor_id'.split(' '),
]);

/** undefined where a token's claims are on every list; else what is wrong, for the log. */
export function identityCheck(spec: IdentitySpec): (claims: JsonObject) => string | undefined {
  const lists = NAMES.flatMap((name) => {
    const values = spec[name];
    return values === undefined ? [] : [{ name, values: new Set<unknown>(values), ...IDENTITY_FIELDS[name] }];
  });
  return (claims) => {
    const missed = lists.find(({ read, values }) => !values.has(read(claims)));
    return missed === undefined ? undefined : `${missed.claim} is not one of ${missed.name}`;
  };
}

/** Whether anything says who may call. */
export function saysWho(spec: IdentitySpec & { readonly require?: string | undefined }): boolean {
  return spec.require !== undefined || NAMES.some((name) => spec[name] !== undefined);
}

/** Namespace and name; both are DNS labels or names, in which no colon can stand. */
function accountOf(claims: JsonObject): string[] | undefined {
  const subject = claims['sub'];
  return typeof subject === 'string' ? SERVICE_ACCOUNT.exec(subject)?.slice(1) : undefined;
}
