import type { IncomingMessage } from 'node:http';
import { Hono } from 'hono';
import type { Context } from 'hono';
import type { Principal } from '../core/auth.ts';
import { TappetError } from '../core/errors.ts';
import type { Permission } from '../core/permissions.ts';
import type { RequestInfo } from '../core/source.ts';
import type { HttpDeps } from './deps.ts';
import type { Transfer } from './slow-bodies.ts';
import { pagePrincipal, problemPage, signInPage } from './page/door.ts';
import { API_HEADERS, errorResponse, methodNotAllowed, problemResponse, unauthenticated } from './problem.ts';

/**
 * Who may call a route: a principal with this permission; anyone (`open`); or whoever the source behind it lets in
 * by its own `auth` (`source`).
 */
export type Access = Permission | 'open' | 'source';
const METHODS = ['GET', 'POST', 'DELETE'] as const;
export type Method = (typeof METHODS)[number] | 'ALL';

export interface DeclaredRoute {
  readonly method: Method;
  readonly path: string;
  readonly access: Access;
  /** Of a page, which the cookie of a session opens and no token: all that the session needs. */
  readonly page?: readonly Permission[];
}

/** Who calls, how long his body may take, and where it comes in; absent where no connection stands behind the request. */
export interface Caller extends RequestInfo {
  readonly transfer?: Transfer;
  readonly incoming?: IncomingMessage;
}

/** What a source hears of it: nothing of the connection, whose body the gateway itself reads and bounds. */
export function infoOf({ remoteAddress, peerAddress, callerUntold }: Caller): RequestInfo {
  if (peerAddress === undefined) return { remoteAddress };
  return { remoteAddress, peerAddress, ...(callerUntold === undefined ? {} : { callerUntold }) };
}
export type AppContext = Context<{ Bindings: Caller }>;
export type Handler = (c: AppContext, principal: Principal) => Promise<Response> | Response;
export type OpenHandler = (c: AppContext) => Promise<Response> | Response;

/**
 * The routes of the API. There is no other way to add one than `route`, which demands its access; no middleware
 * decides by a path's text, so that no spelling of a path slips past the check (the matched route is the check).
 * A name is `:name{[^/:]+}` everywhere: `hello:run` is a path of its own, and two patterns at one place would make
 * hono fall back to its slow router, for hooks too.
 */
export class Routes {
  readonly hono = new Hono<{ Bindings: Caller }>();
  readonly declared: DeclaredRoute[] = [];
  readonly deps: HttpDeps;

  constructor(deps: HttpDeps) {
    this.deps = deps;
    this.hono.onError((error) => errorResponse(error, deps));
    this.hono.notFound(async (c) => {
      try {
        return await this.#noRoute(c);
      } catch (error) {
        return errorResponse(error, deps);
      }
    });
  }

  route(method: Method, path: string, access: Permission, handler: Handler): void {
    this.#declare(method, path, access, async (c) => {
      const principal = await this.#principal(c.req.raw.headers);
      requirePermission(principal, access);
      return withApiHeaders(await handler(c, principal));
    });
  }

  open(method: Method, path: string, handler: OpenHandler): void {
    this.#declare(method, path, 'open', handler);
  }

  /**
   * A page for a browser. Only a session lets in, as only a token does to the API: so no page of another site can do
   * anything with a cookie, and no token has to stand in a browser. `first` may answer before anybody is asked for.
   */
  page(
    path: string,
    permissions: readonly [Permission, ...Permission[]],
    handler: OpenHandler,
    first?: (c: AppContext) => Response | undefined,
  ): void {
    this.declared.push({ method: 'GET', path, access: permissions[0], page: permissions });
    this.hono.on('GET', path, async (c) => {
      try {
        const early = first?.(c);
        if (early !== undefined) return early;
        const principal = pagePrincipal(c, this.deps);
        if (principal === undefined) return signInPage();
        for (const permission of permissions) requirePermission(principal, permission);
        return await handler(c);
      } catch (error) {
        return problemPage(errorResponse(error, this.deps));
      }
    });
  }

  /** The handler sees the request untouched: nothing else runs on this way. */
  source(path: string, handler: OpenHandler): void {
    this.#declare('ALL', path, 'source', handler);
  }

  #declare(method: Method, path: string, access: Access, handler: OpenHandler): void {
    this.declared.push({ method, path, access });
    if (method === 'ALL') this.hono.all(path, handler);
    else this.hono.on(method, path, handler);
  }

  /** A stranger hears 401 for every path but the open ones, and so never learns which exist. */
  async #noRoute(c: AppContext): Promise<Response> {
    const { method, path } = c.req;
    if (!this.declared.some((route) => route.access === 'open' && route.path === path)) {
      // The Fetch standard has no such requests: the first look at its headers would throw.
      if (method === 'TRACE') throw unauthenticated();
      await this.#principal(c.req.raw.headers);
    }
    const allowed = METHODS.filter((one) => this.hono.router.match(one, path)[0].length > 0);
    if (allowed.length > 0) return methodNotAllowed(path, method, allowed);
    throw new TappetError('NOT_FOUND', `There is no ${method} ${path} in this API.`);
  }

  async #principal(headers: Headers): Promise<Principal> {
    const principal = await this.deps.auth.authenticate(headers);
    if (principal === undefined) throw unauthenticated();
    return principal;
  }
}

/** Errors: PERMISSION_DENIED. */
export function requirePermission(principal: Principal, permission: Permission): void {
  if (principal.permissions.has(permission)) return;
  throw new TappetError(
    'PERMISSION_DENIED',
    `This needs the permission ${permission}, which ${principal.name} does not have.`,
  );
}

function withApiHeaders(response: Response): Response {
  for (const [name, value] of Object.entries(API_HEADERS)) response.headers.set(name, value);
  return response;
}

/** One answer for every hook that lets nobody in: unknown, or refused. It must not tell which. */
export function hookRefused(): Response {
  return problemResponse(new TappetError('UNAUTHENTICATED', 'The request could not be verified.'));
}
