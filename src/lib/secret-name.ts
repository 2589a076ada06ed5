/** A name becomes part of a file's name: lower case, because some file systems do not tell cases apart. */
export const SECRET_NAME_PATTERN = /^[a-z0-9][a-z0-9._-]{0,62}$/;

export const SECRET_NAME_RULE =
  'write lower-case letters, digits, dots, dashes and underscores, a letter or digit first, at most 63';
