import type { TappetError } from '../client/api.ts';

/** What a person at the command line reads of an error: the gateway's own words, but for those about HTTP headers. */
export function errorWords(error: TappetError): { readonly message: string; readonly fix?: string } {
  if (error.code === 'UNAUTHENTICATED') {
    return {
      message: 'The gateway did not accept the API token.',
      fix: "Name it with --token or TAPPET_TOKEN: it is the content of the file `token` in the gateway's data folder.",
    };
  }
  const { fix } = error.fields;
  return { message: error.message, ...(fix === undefined ? {} : { fix }) };
}
