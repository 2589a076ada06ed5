/** The ports on the way of an event to the end of its attempts. */
export type PortName = 'store' | 'runner' | 'logs' | 'objects' | 'secrets' | 'localFiles' | 'bodies';

/** Gives something that stands before a port, or the port itself: how tests end the process between two steps. */
export type WrapPort = <P extends object>(name: PortName, port: P) => P;

export const notWrapped: WrapPort = (_name, port) => port;
