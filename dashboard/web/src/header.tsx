import { useState } from 'preact/hooks';
import { logout, session } from './api';
import { keyHelp } from './keys';
import { currentScope, hrefOf, usePlace } from './router';
import { currentTheme, setTheme, type Theme } from './theme';
import { Button, Dialog } from './ui';

interface HeaderProps {
  onNamespaces: () => void;
  onFind: () => void;
  onNew: () => void;
  onHelp: () => void;
  onMenu: () => void;
  menuOpen: boolean;
}

/** Header says where the user is, as whom, and in which namespace. */
export function Header({ onNamespaces, onFind, onNew, onHelp, onMenu, menuOpen }: HeaderProps) {
  usePlace();
  const scope = currentScope();
  return (
    <header class="header">
      <button type="button" class="quiet menu-button" onClick={onMenu} aria-expanded={menuOpen} aria-controls="navigation" aria-label="Navigation">
        <Icon d="M2 4h12M2 8h12M2 12h12" />
      </button>
      <a class="brand" href={hrefOf({ view: 'map', namespace: scope })}>
        <Logo />
        kube-lite
        {session.instance !== 'default' && <span class="instance">{session.instance}</span>}
      </a>
      <button type="button" class="namespace-button" onClick={onNamespaces} aria-haspopup="dialog" title="Choose a namespace (n)">
        <span class="faint">Namespace</span>
        <span class="namespace-name">{scope ?? 'All'}</span>
        <Icon d="M5 6.5l3 3 3-3" />
      </button>
      <button type="button" class="find-button" onClick={onFind} aria-haspopup="dialog">
        <Icon d="M7 12A5 5 0 1 0 7 2a5 5 0 0 0 0 10zM10.7 10.7L14 14" />
        <span>Go to</span>
        <kbd>:</kbd>
      </button>
      <button type="button" class="new-button" onClick={onNew} aria-haspopup="dialog" title="New object (c)">
        <Icon d="M8 3v10M3 8h10" />
        <span>New</span>
      </button>
      <span class="spacer" />
      <span class="faint user" title={session.groups.join(', ')}>
        {session.user}
      </span>
      <ThemeSwitch />
      <Button class="quiet" onClick={onHelp} label="Keys (?)">
        <kbd>?</kbd>
      </Button>
      <Button class="quiet sign-out" onClick={() => void logout().catch(() => {})}>
        Sign out
      </Button>
    </header>
  );
}

export function Icon({ d }: { d: string }) {
  return (
    <svg class="icon" viewBox="0 0 16 16" width="16" height="16" aria-hidden="true">
      <path d={d} />
    </svg>
  );
}

function Logo() {
  return (
    <svg viewBox="0 0 16 16" width="20" height="20" aria-hidden="true" class="logo">
      <path d="M8 1l6 3.5v7L8 15l-6-3.5v-7z" />
      <path d="M5.6 4.6v6.8M10.4 4.6L5.9 8l4.5 3.4" class="logo-letter" />
    </svg>
  );
}

const themes: Record<Theme, { next: Theme; icon: string }> = {
  system: { next: 'dark', icon: 'M8 2a6 6 0 1 0 0 12zM8 2a6 6 0 0 1 0 12' },
  dark: { next: 'light', icon: 'M13 9.5A5.5 5.5 0 1 1 6.5 3a4.5 4.5 0 0 0 6.5 6.5z' },
  light: { next: 'system', icon: 'M8 5a3 3 0 1 0 0 6 3 3 0 0 0 0-6zM8 1v1.5M8 13.5V15M1 8h1.5M13.5 8H15M3 3l1 1M12 12l1 1M13 3l-1 1M4 12l-1 1' },
};

function ThemeSwitch() {
  const [theme, set] = useState(currentTheme());
  const next = themes[theme].next;
  const onClick = () => {
    setTheme(next);
    set(next);
  };
  return (
    <Button class={`quiet theme-${theme}`} onClick={onClick} label={`Theme: ${theme}. Change to ${next}`}>
      <Icon d={themes[theme].icon} />
    </Button>
  );
}

/** Help lists the keys. */
export function Help({ onClose }: { onClose: () => void }) {
  return (
    <Dialog title="Keys" onClose={onClose}>
      <table class="key-help">
        <tbody>
          {keyHelp.map(([keys, does]) => (
            <tr key={does}>
              <td>
                {keys.map((k) => (
                  <kbd key={k}>{k}</kbd>
                ))}
              </td>
              <td>{does}</td>
            </tr>
          ))}
        </tbody>
      </table>
      <p class="faint">
        kube-lite {session.version}, {session.nodes.length === 1 ? 'one node' : `${session.nodes.length} nodes`}
      </p>
    </Dialog>
  );
}
