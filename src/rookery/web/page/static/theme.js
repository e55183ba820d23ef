// Runs before the first paint, so that a page kept dark does not flash white. The theme is all that is kept here.
'use strict';
try {
  const theme = localStorage.getItem('rookery.theme');
  if (theme === 'light' || theme === 'dark') document.documentElement.dataset.theme = theme;
} catch {
  // A browser that keeps nothing goes by the system's theme.
}
