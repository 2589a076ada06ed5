import { z } from 'zod';
import { secretRef } from '../lib/secret-ref.ts';
import { strictObject } from '../lib/strict-object.ts';

export const receiverSchema = strictObject({
  url: z.string().describe('Where messages are posted, such as https://example.com/tappet.'),
  secret: secretRef.describe('Signs messages: "whsec_" and base64, as Standard Webhooks writes it.'),
  allowHttp: z.boolean().default(false).describe('Allow http:// in a network of your own.'),
  allowPrivateAddresses: z
    .boolean()
    .default(false)
    .describe('Allow addresses that are not on the public Internet: this machine, your own network.'),
}).describe('Who is told of executions, by signed messages (Standard Webhooks).');

const receivers = z.array(z.string()).max(20).optional();

/** Of a job, and as `server.notify` of all jobs that say nothing else. */
export const notifySchema = strictObject({
  onFailure: receivers.describe('Told when the job begins to fail: names under "notifications".'),
  onRecovery: receivers.describe('Told when it succeeds again; absent: those of "onFailure".'),
  onCompletion: receivers.describe('Told of each execution that ends.'),
}).describe('Who is told of the executions.');
export type NotifyInput = z.output<typeof notifySchema>;
