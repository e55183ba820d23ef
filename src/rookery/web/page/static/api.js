// @ts-check
/** The REST API: one function that asks, and errors that carry the server's own words and code. */

/** Where Rookery is served, whatever stands before it in a proxy's path. */
export const base = new URL('../../', import.meta.url);

const PATIENCE = 30_000;

/** An answer that is a refusal, or none at all: then `status` is 0 and `code` is `offline`. */
export class Problem extends Error {
  /**
   * @param {number} status
   * @param {string} code
   * @param {string} detail
   * @param {number | null} [retryAfter] seconds
   */
  constructor(status, code, detail, retryAfter = null) {
    super(detail);
    this.status = status;
    this.code = code;
    this.retryAfter = retryAfter;
  }

  /** Whether the same request may go through later. */
  get passing() {
    return this.status === 0 || this.status >= 500;
  }
}

/** Tells, by an event `loggedOut`, that the server does not know us any more. */
export const login = new EventTarget();

/**
 * @typedef {object} Asking
 * @property {unknown} [body] sent as JSON
 * @property {Record<string, string | number>} [query]
 * @property {string} [key] the Idempotency-Key: asking again with it does nothing twice
 * @property {boolean} [quiet] a 401 is an answer like any other
 */

/**
 * @param {string} method
 * @param {string} path below `api/`
 * @param {Asking} [asking]
 * @returns {Promise<any>} the JSON that was answered, null when there is none. Throws a `Problem`.
 */
export async function ask(method, path, { body, query, key, quiet = false } = {}) {
  const url = new URL(`api/${path}`, base);
  for (const [name, value] of Object.entries(query ?? {})) url.searchParams.set(name, String(value));
  /** @type {Record<string, string>} */
  const headers = { accept: 'application/json' };
  if (body !== undefined) headers['content-type'] = 'application/json';
  if (key !== undefined) headers['idempotency-key'] = key;
  let response, text;
  try {
    response = await fetch(url, {
      method,
      headers,
      body: body === undefined ? undefined : JSON.stringify(body),
      credentials: 'same-origin',
      cache: 'no-store',
      redirect: 'error',
      signal: AbortSignal.timeout(PATIENCE),
    });
    text = await response.text();
  } catch {
    throw new Problem(0, 'offline', '');
  }
  const answer = parse(text);
  if (response.ok) return answer;
  const retryAfter = Number.parseInt(response.headers.get('retry-after') ?? '', 10);
  const problem = new Problem(
    response.status,
    answer?.code ?? 'unknown',
    answer?.detail ?? response.statusText,
    Number.isNaN(retryAfter) ? null : retryAfter,
  );
  if (response.status === 401 && !quiet) login.dispatchEvent(new Event('loggedOut'));
  throw problem;
}

/** @param {string} text */
function parse(text) {
  try {
    return text === '' ? null : JSON.parse(text);
  } catch {
    return null;
  }
}

/** A key for something that is to happen once. */
export function newKey() {
  // crypto.randomUUID is there on https and localhost only; a home network often has neither.
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}
