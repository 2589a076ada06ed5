import { z } from 'zod';
import type { NotificationResource } from '../../core/api.ts';
import { NOTIFICATION_STATES } from '../../core/notify.ts';
import type { Notification } from '../../core/notify.ts';
import type { HttpStore } from '../deps.ts';
import { pageFields, parseQuery, readPage } from '../params.ts';
import type { Routes } from '../permissions.ts';
import { optionalTime, time } from '../resources.ts';

const FILTERS = {
  ...pageFields,
  execution: z.string().optional(),
  receiver: z.string().optional(),
  state: z.enum(NOTIFICATION_STATES).optional(),
};
/** Shown with an execution; the list has the rest. */
const MAX_SHOWN = 100;

export function notificationRoutes(routes: Routes): void {
  const { store } = routes.deps;
  routes.route('GET', '/api/v1/notifications', 'tappet.notifications.list', async (c) => {
    const query = parseQuery(c, FILTERS);
    const { execution, receiver, state } = query;
    const filter = {
      ...(execution === undefined ? {} : { execution }),
      ...(receiver === undefined ? {} : { receiver }),
      ...(state === undefined ? {} : { state }),
    };
    const { items, nextPageToken } = await readPage(query, (page) => store.listNotifications(filter, page));
    return c.json({ notifications: items.map(notificationResource), nextPageToken });
  });
}

/** Of one execution, the newest first. */
export async function notificationsOf(
  store: Pick<HttpStore, 'listNotifications'>,
  execution: string,
): Promise<NotificationResource[]> {
  const { items } = await store.listNotifications({ execution }, { size: MAX_SHOWN });
  return items.map(notificationResource);
}

function notificationResource(row: Notification): NotificationResource {
  return {
    ...row,
    createTime: time(row.createTime),
    nextTime: optionalTime(row.nextTime),
    endTime: optionalTime(row.endTime),
  };
}
