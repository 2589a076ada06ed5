import { isAbsolute, resolve } from 'node:path';
import { z } from 'zod';
import type { ServerSettings } from '../core/config.ts';
import type { Json, JsonObject } from '../core/json.ts';
import type { Limits } from '../core/job.ts';
import { registryHost } from '../lib/image-pattern.ts';
import { resolveLinks } from './binds.ts';
import { parsePart } from './context.ts';
import { notifyOf } from './compile-notify.ts';
import type { Entry } from './merge.ts';
import type { Report } from './problems.ts';
import { isMap, listOf, mapOf } from './raw.ts';
import type { ServerInput } from './schema.ts';
import { limitsSchema, serverSchema } from './schema.ts';

/** Where no file has any settings. `dataDir`: of the command line, if it names one. */
export function defaultServer(folder: string, dataDir: string | undefined): ServerSettings {
  return toSettings(serverSchema.parse({}), [], folder, dataDir);
}

/**
 * The settings. One that has errors, which are reported, allows everything, so that no job is blamed for it. Relative
 * paths in them start at `folder`.
 */
export function compileServer(
  { value, path, report }: Entry,
  folder: string,
  dataDir: string | undefined,
): ServerSettings {
  const input = parsePart(serverSchema, value, path, report);
  const written = mapOf(value);
  const binds = checkAllowedBinds(written['allowedBinds'], [...path, 'allowedBinds'], report);
  return toSettings(input ?? usableSettings(written), binds ?? ['/'], folder, dataDir);
}

/** Undefined where one has errors. */
function checkAllowedBinds(
  value: Json | undefined,
  path: readonly string[],
  report: Report,
): readonly string[] | undefined {
  const binds = listOf(value);
  for (const [i, bind] of binds.entries()) {
    if (typeof bind === 'string' && !isAbsolute(bind))
      report.add([...path, i], `"${bind}" must be an absolute path`);
  }
  const right = binds.flatMap((bind) => (typeof bind === 'string' && isAbsolute(bind) ? bind : []));
  const isList = value === undefined || Array.isArray(value);
  return isList && right.length === binds.length ? right : undefined;
}

function usableSettings(written: JsonObject): ServerInput {
  const settings = serverSchema.parse(rightFields(serverSchema, written));
  return { ...settings, limits: usableLimits(written['limits'] ?? {}) };
}

function usableLimits(value: Json): Limits {
  const written = mapOf(value);
  const limits = limitsSchema.parse(rightFields(limitsSchema, written));
  const isRight = (key: keyof typeof limitsSchema.shape): boolean =>
    isMap(value) && limitsSchema.shape[key].safeParse(written[key]).success;
  return {
    maxTasks: isRight('maxTasks') ? limits.maxTasks : Infinity,
    maxParallelism: isRight('maxParallelism') ? limits.maxParallelism : Infinity,
  };
}

function rightFields(schema: z.ZodObject, written: JsonObject): JsonObject {
  const right = Object.entries(written).filter(([key, value]) => {
    const field = Object.hasOwn(schema.shape, key) ? schema.shape[key] : undefined;
    return field !== undefined && z.safeParse(field, value).success;
  });
  return Object.fromEntries(right);
}

function toSettings(
  input: ServerInput,
  allowedBinds: readonly string[],
  folder: string,
  dataDir: string | undefined,
): ServerSettings {
  return {
    host: input.host,
    port: input.port,
    dataDir: dataDir === undefined ? resolve(folder, input.dataDir) : resolve(dataDir),
    maxBodyBytes: input.maxBody,
    allowAnonymous: input.allowAnonymous,
    rateLimit: input.rateLimit ?? null,
    trustedProxies: input.trustedProxies,
    maxRunningTasks: input.maxRunningTasks ?? null,
    admission: {
      cpuOvercommit: input.admission.cpuOvercommit,
      memoryReserveBytes: input.admission.memoryReserve,
    },
    limits: input.limits,
    allowedBinds: allowedBinds.map(resolveLinks),
    eventRetentionMs: input.eventRetention,
    engine: { answerMs: input.engine.answer, orderMs: input.engine.order },
    ...imageSettings(input, folder),
    notify: notifyOf(input.notify, null) ?? null,
  };
}

function imageSettings(
  { pulls, registries, allowedImages, imagePrune }: ServerInput,
  folder: string,
): Pick<ServerSettings, 'pulls' | 'registries' | 'allowedImages' | 'imagePrune'> {
  return {
    pulls: { timeoutMs: pulls.timeout, idleMs: pulls.idle },
    registries: Object.fromEntries(
      Object.entries(registries).map(([host, spec]) => [
        registryHost(host),
        'dockerConfig' in spec ? { dockerConfig: resolve(folder, spec.dockerConfig) } : spec,
      ]),
    ),
    allowedImages: allowedImages ?? null,
    imagePrune: imagePrune === undefined ? null : { unusedForMs: imagePrune.unusedFor },
  };
}
