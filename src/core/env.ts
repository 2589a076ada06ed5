/**
 * Rules about a container's environment. An event or a caller of `run` is a stranger to the job: what it sets must
 * not change which program is loaded, how, or with which trust.
 */

/** Of one value, in UTF-8. The kernel's own bound on one string is 128 KiB. */
export const ENV_VALUE_MAX_BYTES = 32 * 1024;
/** Of the whole environment, names and values. */
export const ENV_TOTAL_MAX_BYTES = 96 * 1024;

/**
 * Of all arguments. The kernel takes 2 MiB of arguments and environment (a quarter of the stack); where there is more,
 * the program is not begun, which from outside looks as if it had failed by itself.
 */
const ARGS_TOTAL_MAX_BYTES = 1024 * 1024;
/** Of one word of the command line: the kernel takes 128 KiB. */
const WORD_MAX_BYTES = ENV_TOTAL_MAX_BYTES;
const HOLDS_NUL = 'holds a NUL character, which no program can be given';

/** As in Kubernetes: what a shell can name, and `.` and `-` inside. */
const NAME = /^[A-Za-z_][A-Za-z0-9_.-]{0,255}$/;

interface Rule {
  readonly pattern: RegExp;
  readonly why: string;
}
/** Set by the gateway for every container. */
const OURS: readonly Rule[] = [{ pattern: /^(CLOUD_RUN_|X_GOOGLE_)/i, why: 'is set by the gateway itself' }];
/** `i` everywhere: `http_proxy` works as `HTTP_PROXY` does, and some runtimes fold case. */
const REFUSED: readonly Rule[] = [
  ...OURS,
  { pattern: /^K_/i, why: 'is reserved for the platform' },
  {
    pattern: /^(LD_.*|DYLD_.*|GCONV_PATH|GLIBC_TUNABLES|MALLOC_.*)$/i,
    why: 'changes how programs are loaded',
  },
  { pattern: /^(PATH|HOME|SHELL)$/i, why: 'changes which programs are found' },
  {
    pattern: /^(IFS|BASH_ENV|ENV|PS4|SHELLOPTS|BASHOPTS|PROMPT_COMMAND|ZDOTDIR)$/i,
    why: 'changes what a shell runs',
  },
  // Before the runtimes: of NODE_* some are about trust, but the one name that is harmless and common stays free.
  { pattern: /^NODE_(?!ENV$)/i, why: 'changes what Node.js loads or trusts' },
  {
    pattern:
      /^(PYTHON.+|PERL.+|RUBY.+|GEM_.*|BUNDLE_.*|CLASSPATH|MAVEN_OPTS|JAVA_TOOL_OPTIONS|_JAVA_OPTIONS|JDK_JAVA_OPTIONS|DOTNET_.*|CORECLR_.*|COR_.*|LUA_.*|PHPRC|PHP_INI_SCAN_DIR)$/i,
    why: 'makes a language runtime load other code',
  },
  { pattern: /^GIT_/i, why: 'makes git run other programs' },
  {
    pattern: /^(NPM_CONFIG_.*|LESSOPEN|LESSCLOSE|TAR_OPTIONS|RSYNC_RSH)$/i,
    why: 'makes a tool run other programs',
  },
  { pattern: /^(SSL_.*|OPENSSL_.*|.*_CA_BUNDLE)$/i, why: 'changes whom TLS trusts' },
  { pattern: /_PROXY$/i, why: 'sends the traffic of the job elsewhere' },
];

function problem(name: string, rules: readonly Rule[]): string | null {
  if (!NAME.test(name)) {
    return 'is not a name for an environment variable (letters, digits, _ . -, not starting with a digit)';
  }
  return rules.find((rule) => rule.pattern.test(name))?.why ?? null;
}

/** Why an event or a caller may not set this variable, to be read after its name; null = it may. */
export function refusedEnvName(name: string): string | null {
  return problem(name, REFUSED);
}

/** The same for a job's own definition, where the operator decides: only the gateway's own names are refused. */
export function refusedJobEnvName(name: string): string | null {
  return problem(name, OURS);
}

/** What is wrong with one value, or one argument, to be read after its name; null = nothing. */
export function envValueProblem(value: string): string | null {
  if (value.includes('\0')) return HOLDS_NUL;
  const bytes = Buffer.byteLength(value);
  if (bytes > ENV_VALUE_MAX_BYTES) {
    return `is ${bytes.toLocaleString('en')} bytes long, more than ${ENV_VALUE_MAX_BYTES.toLocaleString('en')}`;
  }
  return null;
}

/** What is wrong with one word of a command line, to be read after its place; null = nothing. */
export function wordProblem(word: string): string | null {
  if (word.includes('\0')) return HOLDS_NUL;
  if (Buffer.byteLength(word) <= WORD_MAX_BYTES) return null;
  return `is more than ${WORD_MAX_BYTES.toLocaleString('en')} bytes long`;
}

/** The variables that are texts, without those that are secrets. */
export function textsOf(env: Readonly<Record<string, unknown>>): Record<string, string> {
  const texts = Object.entries(env).flatMap(([name, value]) =>
    typeof value === 'string' ? [[name, value] as const] : [],
  );
  return Object.fromEntries(texts);
}

/** Bytes that an environment takes: `NAME=value` and the closing NUL each. */
export function envBytes(env: Readonly<Record<string, string>>): number {
  let sum = 0;
  for (const [name, value] of Object.entries(env))
    sum += Buffer.byteLength(name) + Buffer.byteLength(value) + 2;
  return sum;
}

/** What is wrong with a whole environment by its size, as a sentence; null = nothing. */
export function envTotalProblem(env: Readonly<Record<string, string>>): string | null {
  const bytes = envBytes(env);
  if (bytes <= ENV_TOTAL_MAX_BYTES) return null;
  return `the environment is ${bytes.toLocaleString('en')} bytes long, more than ${ENV_TOTAL_MAX_BYTES.toLocaleString('en')}`;
}

/** What is wrong with all arguments together by their size, the words of the command among them, as a sentence; null = nothing. */
export function argsTotalProblem(args: readonly string[], command: readonly string[] = []): string | null {
  // Each with its NUL, and with the pointer to it, which counts too.
  const bytes = [...command, ...args].reduce((sum, arg) => sum + Buffer.byteLength(arg) + 9, 0);
  if (bytes <= ARGS_TOTAL_MAX_BYTES) return null;
  return `the arguments take ${bytes.toLocaleString('en')} bytes, more than ${ARGS_TOTAL_MAX_BYTES.toLocaleString('en')}`;
}

/** The job's environment with `overrides` put over it; neither is changed. */
export function mergeEnv<T>(
  job: Readonly<Record<string, T>>,
  overrides: Readonly<Record<string, T>> | undefined,
): Record<string, T> {
  return { ...job, ...overrides };
}
