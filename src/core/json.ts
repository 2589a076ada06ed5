/** Any JSON value. Numbers are doubles; whole ones reach expressions as integers (see `expr/`). */
export type Json = null | boolean | number | string | Json[] | JsonObject;
export type JsonObject = { [key: string]: Json };
