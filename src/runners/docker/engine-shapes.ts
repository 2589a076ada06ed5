import { z } from 'zod';

// What is read of the engine's answers; everything else in them is ignored. Docker's and Podman's API 1.40 to 1.47.

export const versionShape = z.object({
  Version: z.string(),
  ApiVersion: z.string(),
  MinAPIVersion: z.string().optional(),
  Components: z.array(z.object({ Name: z.string() })).nullish(),
});

export const infoShape = z.object({
  NCPU: z.number(),
  MemTotal: z.number(),
  InitBinary: z.string().nullish(),
  InitCommit: z.object({ ID: z.string().nullish() }).nullish(),
  MemoryLimit: z.boolean().nullish(),
  PidsLimit: z.boolean().nullish(),
  CpuCfsQuota: z.boolean().nullish(),
  BridgeNfIptables: z.boolean().nullish(),
  LiveRestoreEnabled: z.boolean().nullish(),
});
export type EngineInfo = z.infer<typeof infoShape>;

export const imageShape = z.object({
  Id: z.string(),
  RepoTags: z.array(z.string()).nullish(),
  RepoDigests: z.array(z.string()).nullish(),
});

export const containerShape = z.object({
  Id: z.string(),
  Image: z.string(),
  Path: z.string(),
  Args: z.array(z.string()).nullish(),
  Config: z.object({
    Image: z.string().nullish(),
    Labels: z.record(z.string(), z.string()).nullish(),
    Env: z.array(z.string()).nullish(),
    WorkingDir: z.string().nullish(),
  }),
  HostConfig: z.object({ Init: z.boolean().nullish() }),
  State: z.object({
    Status: z.string(),
    Running: z.boolean(),
    ExitCode: z.number(),
    OOMKilled: z.boolean().default(false),
    Error: z.string().default(''),
    StartedAt: z.string(),
    FinishedAt: z.string(),
  }),
});
export type EngineContainer = z.infer<typeof containerShape>;

/** One look at a container's use. Engines differ in what is there: Podman has no `stats` of memory. */
export const statsShape = z.object({
  /** `0001-01-01T00:00:00Z` = it does not run. */
  read: z.string(),
  cpu_stats: z.object({ cpu_usage: z.object({ total_usage: z.number().nullish() }).nullish() }).nullish(),
  memory_stats: z
    .object({ usage: z.number().nullish(), stats: z.record(z.string(), z.unknown()).nullish() })
    .nullish(),
});
export type EngineStats = z.infer<typeof statsShape>;

export const listShape = z.array(
  z.object({
    Names: z.array(z.string()),
    Labels: z.record(z.string(), z.string()).nullish(),
    State: z.string(),
    /** Epoch seconds; Podman says it as a number too. */
    Created: z.number(),
  }),
);
export type EngineListed = z.infer<typeof listShape>[number];

export const networkShape = z.object({
  Id: z.string(),
  Labels: z.record(z.string(), z.string()).nullish(),
  Options: z.record(z.string(), z.string()).nullish(),
});
export type EngineNetwork = z.infer<typeof networkShape>;

export const eventShape = z.object({
  Type: z.string().optional(),
  Actor: z.object({ Attributes: z.record(z.string(), z.string()).nullish() }).nullish(),
});
export type EngineEvent = z.infer<typeof eventShape>;

export const pathStatShape = z.object({ mode: z.number() });
