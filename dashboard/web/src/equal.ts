/** sameList tells whether two lists have the same elements, so that what is drawn of them need not be drawn again. */
export function sameList(a: readonly unknown[], b: readonly unknown[]): boolean {
  return a.length === b.length && a.every((x, i) => x === b[i]);
}
