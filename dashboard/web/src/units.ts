// How numbers are written: ages as kubectl writes them, bytes, cores, and the quantities of the API.

/** ageOf is how long ago a time was: 45s, 3m12s, 5h, 2d4h. https://pkg.go.dev/k8s.io/apimachinery/pkg/util/duration#HumanDuration */
export function ageOf(time: string | undefined, now = Date.now()): string {
  return time ? durationText((now - Date.parse(time)) / 1000) : '';
}

export function durationText(inSeconds: number): string {
  const s = Math.max(0, Math.floor(inSeconds));
  const m = Math.floor(s / 60);
  const h = Math.floor(m / 60);
  const d = Math.floor(h / 24);
  if (s < 120) return `${s}s`;
  if (m < 10) return pair(m, 'm', s % 60, 's');
  if (m < 180) return `${m}m`;
  if (h < 8) return pair(h, 'h', m % 60, 'm');
  if (h < 48) return `${h}h`;
  if (d < 8) return pair(d, 'd', h % 24, 'h');
  if (d < 730) return `${d}d`;
  return pair(Math.floor(d / 365), 'y', d % 365, 'd');
}

function pair(a: number, unit: string, b: number, smaller: string): string {
  return b ? `${a}${unit}${b}${smaller}` : `${a}${unit}`;
}

const binary = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];

/** bytesText is a size with three digits at most: 1.5 GiB, 230 MiB. */
export function bytesText(bytes: number): string {
  let n = bytes;
  let unit = 0;
  while (n >= 1000 && unit < binary.length - 1) {
    n /= 1024;
    unit++;
  }
  return `${digits(n, unit === 0)} ${binary[unit]}`;
}

function digits(n: number, whole = false): string {
  return whole || n >= 100 ? n.toFixed(0) : n >= 10 ? trim(n.toFixed(1)) : trim(n.toFixed(2));
}

function trim(text: string): string {
  return text.includes('.') ? text.replace(/\.?0+$/, '') : text;
}

/** coresText writes CPU as the API does: 250m below one core, 1.5 from there. */
export function coresText(cores: number): string {
  return cores >= 1 ? trim(cores.toFixed(2)) : `${cores > 0 && cores < 0.001 ? '<1' : Math.round(cores * 1000)}m`;
}

export function rateText(bytesPerSecond: number): string {
  return `${bytesText(bytesPerSecond)}/s`;
}

const multipliers: Record<string, number> = {
  n: 1e-9, u: 1e-6, m: 1e-3, '': 1, k: 1e3, M: 1e6, G: 1e9, T: 1e12, P: 1e15, E: 1e18,
  Ki: 2 ** 10, Mi: 2 ** 20, Gi: 2 ** 30, Ti: 2 ** 40, Pi: 2 ** 50, Ei: 2 ** 60,
};

/** quantity reads 250m, 1Gi, 2e3. https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/ */
export function quantity(text: string | number | undefined): number {
  const [, number, suffix] = /^([-+]?[\d.]+(?:[eE][-+]?\d+)?)([A-Za-z]{0,2})$/.exec(String(text ?? '').trim()) ?? [];
  return number === undefined ? 0 : parseFloat(number) * (multipliers[suffix ?? ''] ?? 1);
}
