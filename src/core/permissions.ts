/** Google's permission names where it has them; `tappet.*` where it has none. Every route declares one. */
export const PERMISSIONS = [
  'run.jobs.get',
  'run.jobs.list',
  'run.jobs.run',
  'run.jobs.runWithOverrides',
  'run.executions.get',
  'run.executions.list',
  'run.executions.cancel',
  'run.executions.delete',
  'run.tasks.get',
  'run.tasks.list',
  'logging.logEntries.list',
  'eventarc.triggers.get',
  'eventarc.triggers.list',
  'tappet.triggers.fire',
  'tappet.events.get',
  'tappet.events.list',
  'tappet.notifications.list',
  'tappet.status.get',
  'tappet.links.create',
] as const;
export type Permission = (typeof PERMISSIONS)[number];
