// @ts-check
/** The look a person chose: kept with them by the server, and in this browser for `theme.js`. */

/** @typedef {'system' | 'light' | 'dark'} Theme */

/** @param {any} me @returns {Theme} */
export function themeOf(me) {
  const theme = me.preferences?.theme;
  return theme === 'light' || theme === 'dark' ? theme : 'system';
}

/** @param {Theme} theme */
export function setTheme(theme) {
  const root = document.documentElement;
  if (theme === 'system') delete root.dataset.theme;
  else root.dataset.theme = theme;
  try {
    if (theme === 'system') localStorage.removeItem('rookery.theme');
    else localStorage.setItem('rookery.theme', theme);
  } catch {
    // A browser that keeps nothing learns it from the server each time.
  }
}
