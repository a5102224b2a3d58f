// Sets the chosen theme before the first paint, so that a dark page never flashes white. Not the toggle: src/app/theme.ts.
try {
  var theme = localStorage.getItem("watchfire.theme");
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
} catch (_) {
  // No storage (a private window): the system's choice stands.
}
