import { z } from 'zod';

/** Numbers and true/false are taken as their text: an environment knows texts only, and YAML makes `8080` a number. */
export const text = z.union([z.string(), z.number(), z.boolean()]).transform(String);

export const labels = z.record(z.string().min(1).max(128), text).default({});

/** What names of jobs, triggers, connections, issuers and receivers look like; they become parts of container names and URLs. */
export const NAME_PATTERN = /^[a-z]([-a-z0-9]{0,47}[a-z0-9])?$/;
