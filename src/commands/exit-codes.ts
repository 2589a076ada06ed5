import type { ErrorCode } from '../client/api.ts';

/** What scripts rely on; also in `--help` and `docs/cli.md`. 124 is timeout(1)'s, 130 the shell's for SIGINT. */
export const EXIT = {
  ok: 0,
  failed: 1,
  usage: 2,
  unreachable: 3,
  notFound: 4,
  invalid: 5,
  timedOut: 124,
  interrupted: 130,
} as const;

const BY_CODE: Readonly<Partial<Record<ErrorCode, number>>> = {
  GATEWAY_UNREACHABLE: EXIT.unreachable,
  UNAUTHENTICATED: EXIT.unreachable,
  PERMISSION_DENIED: EXIT.unreachable,
  NOT_FOUND: EXIT.notFound,
  CONFIG_INVALID: EXIT.invalid,
  INVALID_ARGUMENT: EXIT.invalid,
  EXPRESSION_INVALID: EXIT.invalid,
  PAYLOAD_TOO_LARGE: EXIT.invalid,
};

export function exitCodeOf(code: ErrorCode): number {
  return BY_CODE[code] ?? EXIT.failed;
}

export const EXIT_CODES_HELP = `
Exit codes:
  0    done; with --wait or --follow: the execution succeeded
  1    failed; with --wait or --follow: the execution did not succeed
  2    the command was written wrongly
  3    the gateway cannot be reached, or does not accept the token
  4    there is no such job, execution, trigger, event, engine or secret
  5    the configuration or the request is not valid
  124  --wait-timeout is over
  130  interrupted`;
