// @ts-check
/** What this tab keeps for one person: drafts and what was not sent yet. Gone when they log out or close the tab. */

const PREFIX = 'rookery.';

export class Keep {
  /** @param {string} userId nobody finds what somebody else wrote in this tab before */
  constructor(userId) {
    this.prefix = `${PREFIX}${userId}.`;
  }

  /** @param {string} name @returns {any} */
  get(name) {
    try {
      return JSON.parse(sessionStorage.getItem(this.prefix + name) ?? 'null');
    } catch {
      return null;
    }
  }

  /** @param {string} name @param {unknown} value nothing is kept of null, '' and [] */
  set(name, value) {
    const empty = value === null || value === '' || (Array.isArray(value) && value.length === 0);
    try {
      if (empty) sessionStorage.removeItem(this.prefix + name);
      else sessionStorage.setItem(this.prefix + name, JSON.stringify(value));
    } catch {
      // A full or forbidden store: the page works, and a reload forgets.
    }
  }

  /** Forget everything of everybody. */
  static clear() {
    try {
      for (const name of Object.keys(sessionStorage)) if (name.startsWith(PREFIX)) sessionStorage.removeItem(name);
    } catch {
      // Nothing was kept.
    }
  }
}

const KNOWN = `${PREFIX}known`;

/** Whether somebody was in when this browser was last here: then it is worth asking for their things at once. */
export function wasIn() {
  try {
    return localStorage.getItem(KNOWN) !== null;
  } catch {
    return false;
  }
}

/** @param {boolean} known */
export function remember(known) {
  try {
    if (known) localStorage.setItem(KNOWN, '1');
    else localStorage.removeItem(KNOWN);
  } catch {
    // The next visit takes one round trip more.
  }
}
