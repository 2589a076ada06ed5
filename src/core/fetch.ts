/** The only way out to the network for auth and sources: the global `fetch`'s shape, so that a test can answer. */
export type Fetch = (url: string, init?: RequestInit) => Promise<Response>;
