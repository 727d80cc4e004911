// The colours that programs write with escape sequences (ECMA-48, "SGR"), and the sequences that only make sense on a terminal.

/** Style is how a part of a line is shown. Colours are 0-15 of the palette, or "#rrggbb". */
export interface Style {
  fg?: number | string;
  bg?: number | string;
  bold?: boolean;
  dim?: boolean;
  italic?: boolean;
  underline?: boolean;
  inverse?: boolean;
}

/** Part is a run of text in one style; from is its place in the text without sequences. */
export interface Part {
  from: number;
  text: string;
  style: Style;
}

// CSI sequences, OSC sequences (titles, links), other escapes of two or three characters, and control characters but the tab.
const sequence = /\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?|\x1b[ -/]*[0-~]|[\x00-\x08\x0a-\x1f\x7f]/g;

/** hasSequences says whether a line has anything to be stripped. */
export function hasSequences(line: string): boolean {
  return /[\x00-\x08\x0a-\x1f\x7f]/.test(line);
}

/** stripAnsi returns the text alone. Of a line that was overwritten with carriage returns, what was written last is kept. */
export function stripAnsi(line: string): string {
  return lastWritten(line).replace(sequence, '');
}

/** parseAnsi splits a line into parts of one style. */
export function parseAnsi(line: string): Part[] {
  const source = lastWritten(line);
  const parts: Part[] = [];
  let style: Style = {};
  let at = 0; // in source
  let from = 0; // in the text without sequences
  const push = (text: string) => {
    if (!text) return;
    parts.push({ from, text, style });
    from += text.length;
  };
  for (const found of source.matchAll(sequence)) {
    push(source.slice(at, found.index));
    at = found.index + found[0].length;
    if (/^\x1b\[[\d;:]*m$/.test(found[0])) style = applyCodes(style, found[0].slice(2, -1));
  }
  push(source.slice(at));
  return parts;
}

/** lastWritten is what a terminal would show of a progress bar: the text after the last carriage return. */
function lastWritten(line: string): string {
  const trimmed = line.replace(/\r+$/, '');
  const at = trimmed.lastIndexOf('\r');
  return at < 0 ? trimmed : trimmed.slice(at + 1);
}

function applyCodes(before: Style, codes: string): Style {
  const style = { ...before };
  const list = codes.split(/[;:]/).map(Number);
  for (let i = 0; i < list.length; i++) {
    const code = list[i]!;
    if (code === 38 || code === 48) {
      const [color, used] = extended(list.slice(i + 1));
      if (code === 38) style.fg = color;
      else style.bg = color;
      i += used;
      continue;
    }
    applyCode(style, code);
  }
  return style;
}

function applyCode(style: Style, code: number): void {
  if (code === 0) for (const name of Object.keys(style)) delete style[name as keyof Style];
  else if (code === 1) style.bold = true;
  else if (code === 2) style.dim = true;
  else if (code === 3) style.italic = true;
  else if (code === 4) style.underline = true;
  else if (code === 7) style.inverse = true;
  else if (code === 22) (delete style.bold, delete style.dim);
  else if (code === 23) delete style.italic;
  else if (code === 24) delete style.underline;
  else if (code === 27) delete style.inverse;
  else if (code >= 30 && code <= 37) style.fg = code - 30;
  else if (code === 39) delete style.fg;
  else if (code >= 40 && code <= 47) style.bg = code - 40;
  else if (code === 49) delete style.bg;
  else if (code >= 90 && code <= 97) style.fg = code - 90 + 8;
  else if (code >= 100 && code <= 107) style.bg = code - 100 + 8;
}

/** extended reads 5;N (of 256 colours) or 2;R;G;B, and says how many codes that took. */
function extended(codes: number[]): [number | string | undefined, number] {
  if (codes[0] === 5) return [indexed(codes[1] ?? 0), 2];
  if (codes[0] === 2) return [hex(codes[1] ?? 0, codes[2] ?? 0, codes[3] ?? 0), 4];
  return [undefined, 0];
}

/** indexed is a colour of xterm's 256: 16 of the palette, a cube of 6x6x6 and 24 greys. */
function indexed(n: number): number | string {
  if (n < 16) return n;
  if (n >= 232) {
    const grey = 8 + (n - 232) * 10;
    return hex(grey, grey, grey);
  }
  const level = (v: number) => (v === 0 ? 0 : 55 + v * 40);
  return hex(level(Math.floor((n - 16) / 36)), level(Math.floor((n - 16) / 6) % 6), level((n - 16) % 6));
}

function hex(...rgb: number[]): string {
  return (
    '#' +
    rgb
      .map((v) =>
        Math.max(0, Math.min(255, v || 0))
          .toString(16)
          .padStart(2, '0'),
      )
      .join('')
  );
}
