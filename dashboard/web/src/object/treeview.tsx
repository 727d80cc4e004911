import { useMemo, useRef, useState } from 'preact/hooks';
import { Badge } from '../ui';
import type { TreeNode } from './tree';

interface Row {
  node: TreeNode;
  level: number; // from 1
  position: number; // from 1, among siblings
  siblings: number;
  parent: number; // index of the parent's row, or -1
  open: boolean;
}

/** More siblings than this are shown in steps. */
const step = 200;

/** TreeView is a tree as of https://www.w3.org/WAI/ARIA/apg/patterns/treeview/: one stop of the Tab key, arrows within. */
export function TreeView({ nodes, label }: { nodes: TreeNode[]; label: string }) {
  const [toggled, setToggled] = useState<ReadonlyMap<string, boolean>>(new Map());
  const [more, setMore] = useState<ReadonlyMap<string, number>>(new Map());
  const [focused, setFocused] = useState('');
  const box = useRef<HTMLDivElement>(null);
  const rows = useMemo(() => flatten(nodes, toggled, more), [nodes, toggled, more]);
  const active = rows.some((r) => r.node.id === focused) ? focused : (rows.find((r) => r.node.current) ?? rows[0])?.node.id;

  const toggle = (row: Row) => {
    if (row.node.id.endsWith(moreSuffix)) {
      const parent = row.node.id.slice(0, -moreSuffix.length);
      setMore(new Map(more).set(parent, (more.get(parent) ?? step) + step));
    } else if (row.node.children.length) setToggled(new Map(toggled).set(row.node.id, !row.open));
  };
  const focus = (index: number) => {
    const row = rows[Math.max(0, Math.min(rows.length - 1, index))];
    if (!row) return;
    setFocused(row.node.id);
    box.current?.querySelectorAll<HTMLElement>('[role=treeitem]')[rows.indexOf(row)]?.focus();
  };
  const onKeyDown = (e: KeyboardEvent) => {
    const index = rows.findIndex((r) => r.node.id === active);
    const row = rows[index];
    if (!row || e.altKey || e.ctrlKey || e.metaKey) return;
    const actions: Record<string, () => void> = {
      ArrowDown: () => focus(index + 1),
      ArrowUp: () => focus(index - 1),
      Home: () => focus(0),
      End: () => focus(rows.length - 1),
      ArrowRight: () => (row.node.children.length && !row.open ? toggle(row) : row.open ? focus(index + 1) : undefined),
      ArrowLeft: () => (row.open && row.node.children.length ? toggle(row) : row.parent >= 0 && focus(row.parent)),
      Enter: () => (row.node.href && !row.node.current ? (location.href = row.node.href) : toggle(row)),
      ' ': () => toggle(row),
    };
    const action = actions[e.key];
    if (!action) return;
    e.preventDefault();
    e.stopPropagation();
    action();
  };

  return (
    <div class="tree" role="tree" aria-label={label} ref={box} onKeyDown={onKeyDown}>
      {rows.map((row) => (
        <TreeRow key={row.node.id} row={row} active={row.node.id === active} onToggle={() => toggle(row)} onFocus={() => setFocused(row.node.id)} />
      ))}
    </div>
  );
}

function TreeRow({ row, active, onToggle, onFocus }: { row: Row; active: boolean; onToggle(): void; onFocus(): void }) {
  const { node, level, open } = row;
  const inner = node.children.length > 0;
  return (
    <div
      class={`tree-row${node.current ? ' tree-current' : ''}${node.kind ? '' : ' tree-group'}`}
      role="treeitem"
      aria-level={level}
      aria-posinset={row.position}
      aria-setsize={row.siblings}
      aria-expanded={inner ? open : undefined}
      aria-current={node.current ? 'true' : undefined}
      tabIndex={active ? 0 : -1}
      onFocus={onFocus}
      style={{ '--level': level - 1 }}
    >
      <span class={inner ? `tree-twist${open ? ' tree-open' : ''}` : 'tree-leaf'} onClick={onToggle} aria-hidden="true" />
      {node.kind && <span class="tree-kind">{node.kind}</span>}
      <TreeName node={node} onToggle={onToggle} />
      {node.health && <Badge health={node.health} text={node.text ?? ''} />}
      {inner && !open && <span class="tree-count">{node.children.length}</span>}
      {node.details.length > 0 && <span class="tree-details">{node.details.join(' · ')}</span>}
    </div>
  );
}

function TreeName({ node, onToggle }: { node: TreeNode; onToggle(): void }) {
  if (node.href && !node.current) {
    return (
      <a class="tree-name" href={node.href} tabIndex={-1}>
        {node.name}
      </a>
    );
  }
  return (
    <span class="tree-name" onClick={onToggle}>
      {node.name}
    </span>
  );
}

const moreSuffix = '/more';

/** flatten lists the rows that are in sight. */
function flatten(nodes: TreeNode[], toggled: ReadonlyMap<string, boolean>, more: ReadonlyMap<string, number>): Row[] {
  const rows: Row[] = [];
  const walk = (siblings: TreeNode[], level: number, parent: number, parentId: string) => {
    const limit = more.get(parentId) ?? step;
    const shown = siblings.slice(0, limit);
    shown.forEach((node, i) => {
      const open = node.children.length > 0 && (toggled.get(node.id) ?? !node.folded);
      rows.push({ node, level, position: i + 1, siblings: siblings.length, parent, open });
      if (open) walk(node.children, level + 1, rows.length - 1, node.id);
    });
    if (siblings.length > limit)
      rows.push({ node: moreNode(parentId, siblings.length - limit), level, position: limit + 1, siblings: limit + 1, parent, open: false });
  };
  walk(nodes, 1, -1, '');
  return rows;
}

function moreNode(parentId: string, count: number): TreeNode {
  return { id: parentId + moreSuffix, kind: '', name: `Show ${Math.min(step, count)} more of ${count}`, details: [], children: [], folded: false };
}
