// Dark or light: as the system says, unless the user has chosen one, which the browser keeps.

export type Theme = 'system' | 'dark' | 'light';
const key = 'kube-lite.theme';

export function currentTheme(): Theme {
  const kept = localStorage.getItem(key);
  return kept === 'dark' || kept === 'light' ? kept : 'system';
}

export function setTheme(theme: Theme): void {
  if (theme === 'system') localStorage.removeItem(key);
  else localStorage.setItem(key, theme);
  applyTheme();
}

/** applyTheme sets what the style sheet reads. */
export function applyTheme(): void {
  const theme = currentTheme();
  if (theme === 'system') delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
}
