// Where the rows of a long list are, of which only those in sight are made.

/** RowMap knows the top of each row, in pixels. Heights are estimates; rows that are in sight have their true ones. */
export class RowMap {
  private tops: Float64Array = new Float64Array(1);
  count = 0;

  /** reset takes how many text lines each of count rows fills. */
  reset(count: number, linesOf: ((index: number) => number) | undefined, lineHeight: number): void {
    if (this.tops.length < count + 1) this.tops = new Float64Array(Math.ceil((count + 1) * 1.5));
    this.count = count;
    let top = 0;
    for (let i = 0; i < count; i++) {
      this.tops[i] = top;
      top += (linesOf ? linesOf(i) : 1) * lineHeight;
    }
    this.tops[count] = top;
  }

  get height(): number {
    return this.tops[this.count]!;
  }

  top(index: number): number {
    return this.tops[Math.max(0, Math.min(index, this.count))]!;
  }

  /** at returns the row at a place. */
  at(y: number): number {
    let low = 0;
    let high = this.count;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.tops[middle + 1]! <= y) low = middle + 1;
      else high = middle;
    }
    return Math.min(low, Math.max(0, this.count - 1));
  }
}
