// @ts-check
/** The page's words in the person's language; what a language lacks is said in English. */

import { words as english } from './words/en.js';

/** The languages the page speaks, each by its own name. */
export const LANGUAGES = { en: 'English', de: 'Deutsch', es: 'Español', zh: '中文' };

/** @type {Record<string, string>} */
let words = english;
let language = 'en';

/** The language spoken now. */
export function spoken() {
  return language;
}

/**
 * Speak this language, or the browser's when there is none, or else English.
 * @param {string | null} [wanted] a BCP 47 tag
 */
export async function speak(wanted) {
  const tags = wanted ? [wanted, ...navigator.languages] : navigator.languages;
  const found = tags.map((tag) => tag.toLowerCase().split('-')[0]).find((tag) => tag in LANGUAGES) ?? 'en';
  try {
    words = found === 'en' ? english : { ...english, ...(await import(`./words/${found}.js`)).words };
    language = found;
  } catch {
    words = english;
    language = 'en';
  }
  document.documentElement.lang = language;
}

/**
 * The words for something, with `{name}` filled in.
 * @param {keyof typeof english} key
 * @param {Record<string, string | number>} [values]
 * @returns {string}
 */
export function t(key, values = {}) {
  return words[key].replace(/\{(\w+)\}/g, (whole, name) => (name in values ? String(values[name]) : whole));
}

/** @param {Date} date */
export function clockTime(date) {
  return new Intl.DateTimeFormat(language, { hour: 'numeric', minute: '2-digit' }).format(date);
}

/** @param {Date} date @returns {string} today, yesterday, or the date */
export function day(date) {
  const days = Math.round((midnight(new Date()) - midnight(date)) / 86_400_000);
  if (days === 0 || days === 1) {
    const word = new Intl.RelativeTimeFormat(language, { numeric: 'auto' }).format(-days, 'day');
    return word.charAt(0).toLocaleUpperCase(language) + word.slice(1);
  }
  const year = date.getFullYear() === new Date().getFullYear() ? undefined : 'numeric';
  return new Intl.DateTimeFormat(language, { weekday: 'long', day: 'numeric', month: 'long', year }).format(date);
}

/** @param {Date} date */
export function wholeTime(date) {
  return new Intl.DateTimeFormat(language, { dateStyle: 'full', timeStyle: 'medium' }).format(date);
}

/** @param {Date} date */
function midnight(date) {
  return new Date(date.getFullYear(), date.getMonth(), date.getDate()).getTime();
}
