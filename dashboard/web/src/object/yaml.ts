// Just enough of YAML to colour it: the page shows what the server wrote, it does not read it.

export type TokenKind = 'key' | 'string' | 'number' | 'word' | 'comment' | 'mark' | 'plain';

export interface Token {
  kind: TokenKind;
  text: string;
}

const keyLine = /^(\s*(?:- +)*)("(?:[^"\\]|\\.)*"|'(?:[^']|'')*'|[^\s#'"{}[\],&*!|>%@-][^#]*?|-[^\s#][^#]*?)(:)(?=\s|$)/;
const listMark = /^(\s*(?:- +)*-(?: +|$))/;
const number = /^[-+]?(\d[\d_]*(\.\d*)?([eE][-+]?\d+)?|0x[\da-fA-F]+|0o[0-7]+)$/;
const word = /^(true|false|null|~|yes|no|on|off)$/i;
const blockStart = /^[|>][-+0-9]*$/;

/** tokenize splits a text into lines of tokens. Block scalars are followed by their indentation. */
export function tokenize(text: string): Token[][] {
  const lines: Token[][] = [];
  let block = -1; // the indentation of the line that opened a block scalar, or -1
  for (const line of text.split('\n')) {
    const indent = line.search(/\S/);
    if (block >= 0 && (indent < 0 || indent > block)) {
      lines.push(line ? [{ kind: 'string', text: line }] : []);
      continue;
    }
    block = -1;
    const tokens = tokenizeLine(line);
    const last = tokens[tokens.length - 1];
    if (last?.kind === 'mark' && blockStart.test(last.text)) block = blockIndent(line);
    lines.push(tokens);
  }
  return lines;
}

/** blockIndent is how far the key is in whose value a block scalar is: those after list marks count from the key. */
function blockIndent(line: string): number {
  const marks = /^(\s*(?:- +)*)/.exec(line)![1]!;
  return keyLine.test(line) ? marks.length : Math.max(0, line.search(/\S/));
}

function tokenizeLine(line: string): Token[] {
  const tokens: Token[] = [];
  const push = (kind: TokenKind, text: string) => {
    if (text) tokens.push({ kind, text });
  };
  let rest = line;
  if (/^\s*#/.test(rest) || /^(---|\.\.\.)/.test(rest)) {
    push(rest.trimStart().startsWith('#') ? 'comment' : 'mark', rest);
    return tokens;
  }
  const key = keyLine.exec(rest);
  if (key) {
    push('mark', key[1]!);
    push('key', key[2]!);
    push('mark', key[3]!);
    rest = rest.slice(key[0].length);
  } else {
    const mark = listMark.exec(rest);
    if (mark) {
      push('mark', mark[1]!);
      rest = rest.slice(mark[1]!.length);
    }
  }
  value(rest, push);
  return tokens;
}

/** value colours what follows a key or a list mark. */
function value(text: string, push: (kind: TokenKind, text: string) => void): void {
  const space = /^\s*/.exec(text)![0];
  let rest = text.slice(space.length);
  push('plain', space);
  let comment = '';
  if (!/^["']/.test(rest)) {
    const at = rest.search(/(^|\s)#/);
    if (at >= 0) {
      comment = rest.slice(at);
      rest = rest.slice(0, at);
    }
  }
  push(kindOf(rest.trimEnd()), rest);
  push('comment', comment);
}

function kindOf(scalar: string): TokenKind {
  if (blockStart.test(scalar) || /^[[\]{}]+$/.test(scalar)) return 'mark';
  if (/^["']/.test(scalar)) return 'string';
  if (number.test(scalar)) return 'number';
  if (word.test(scalar)) return 'word';
  return 'plain';
}

/** withoutBlock cuts a top-level block (such as `status:`) out of a YAML text. */
export function withoutBlock(text: string, key: string): string {
  const out: string[] = [];
  let inside = false;
  for (const line of text.split('\n')) {
    if (/^[^\s#-]/.test(line)) inside = line === key + ':' || line.startsWith(key + ': ');
    if (!inside || line === '') out.push(line);
  }
  return out.join('\n');
}
