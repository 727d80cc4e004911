// The level of a log line, in the formats that programs in clusters write: JSON, logfmt, klog and plain words.

export type Level = 'error' | 'warn' | 'info' | 'debug';

const names: Record<string, Level> = {
  emerg: 'error',
  emergency: 'error',
  alert: 'error',
  fatal: 'error',
  panic: 'error',
  dpanic: 'error',
  critical: 'error',
  crit: 'error',
  severe: 'error',
  error: 'error',
  err: 'error',
  eror: 'error',
  warning: 'warn',
  warn: 'warn',
  wrn: 'warn',
  notice: 'info',
  information: 'info',
  info: 'info',
  inf: 'info',
  log: 'info',
  debug: 'debug',
  dbug: 'debug',
  dbg: 'debug',
  trace: 'debug',
  trc: 'debug',
  fine: 'debug',
  finer: 'debug',
  finest: 'debug',
  verbose: 'debug',
};

// klog and glog: I0806 15:04:05.123456    1234 file.go:12] text
const klog = /^([IWEF])\d{4} \d{2}:\d{2}:\d{2}\.\d+\s/;
const klogLevels: Record<string, Level> = { I: 'info', W: 'warn', E: 'error', F: 'error' };
const jsonLevel = /"(?:level|lvl|severity|severityText|severity_text|log\.level|loglevel|levelname|@level|@l)"\s*:\s*(?:"([A-Za-z]+)"|(\d+))/;
const logfmt = /(?:^|\s)(?:level|lvl|severity|loglevel)=["']?([A-Za-z]+)/;
// In plain text a level is a word of its own near the start: in capitals, or in brackets, or before a colon.
const plain =
  /(?:^|[\s[(<|])(EMERGENCY|EMERG|ALERT|FATAL|PANIC|CRITICAL|CRIT|SEVERE|ERROR|EROR|ERR|WARNING|WARN|WRN|NOTICE|INFO|INF|DEBUG|DBUG|DBG|TRACE|TRC|VERBOSE|FINEST|FINER|FINE|LOG)(?=[\s\])>|:,/-]|$)/;
const bracketed = /[[(<](emerg|alert|fatal|panic|critical|crit|error|err|warning|warn|notice|info|debug|trace)(?:[\])>]|:)/i;
const prefixed = /^(?:[\w./-]+: )?(fatal|panic|error|warning|warn|info|debug|trace)(?:\[\w+\])?:/i;
const goPanic = /^(?:panic: |fatal error: |Traceback \(most recent call last\)|Exception in thread |Unhandled exception|Caused by: )/;

/** How far from the start a level is looked for: further on, words such as ERROR are what the line is about. */
const startLength = 120;

/** levelOf recognises the level of a line without escape sequences. */
export function levelOf(line: string): Level | undefined {
  const k = klog.exec(line);
  if (k) return klogLevels[k[1]!];
  const first = line.charCodeAt(0);
  if (first === 123 /* { */) {
    const found = jsonLevel.exec(line.length > 4000 ? line.slice(0, 4000) : line);
    if (found) return found[1] ? names[found[1].toLowerCase()] : numbered(Number(found[2]));
  }
  const fmt = logfmt.exec(line.length > 1000 ? line.slice(0, 1000) : line);
  const named = fmt && names[fmt[1]!.toLowerCase()];
  if (named) return named;
  if (goPanic.test(line)) return 'error';
  const start = line.length > startLength ? line.slice(0, startLength) : line;
  const found = plain.exec(start) ?? bracketed.exec(start) ?? prefixed.exec(start);
  return found ? names[found[1]!.toLowerCase()] : undefined;
}

/** numbered reads the numbers of bunyan and pino: 10 trace, 20 debug, 30 info, 40 warn, 50 error, 60 fatal. */
function numbered(n: number): Level | undefined {
  if (n >= 50) return 'error';
  if (n >= 40) return 'warn';
  if (n >= 30) return 'info';
  return n >= 10 ? 'debug' : undefined;
}
