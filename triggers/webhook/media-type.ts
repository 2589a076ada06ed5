export interface MediaType {
  /** Lower case, without parameters; empty where the header is absent. */
  readonly essence: string;
  readonly charset: string | undefined;
}

export function mediaType(header: string): MediaType {
  const [essence = '', ...parameters] = header.toLowerCase().split(';');
  const charset = parameters
    .map((one) => /^\s*charset="?([^"\s]*)"?\s*$/.exec(one)?.[1])
    .find((one) => one !== undefined);
  return { essence: essence.trim(), charset };
}
