// The same gateway, but for one thing: it knows no call by its id, so that one that is sent again is another event. The
// test that kills it under load must see that.
import { serveWrapped } from './wrapped-gateway.mjs';

await serveWrapped({
  store: (store) =>
    new Proxy(store, {
      get(inner, key) {
        const value = inner[key];
        if (typeof value !== 'function') return value;
        if (key !== 'acceptEvents') return value.bind(inner);
        return ({ events, ...rest }) =>
          inner.acceptEvents({
            ...rest,
            events: events.map((event) => ({ ...event, identity: { source: 'forgotten', id: event.uid } })),
          });
      },
    }),
});
